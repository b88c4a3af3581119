"""Both sides log_softmax, log_target forgotten."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(54)
student, teacher = nn.Linear(20, 10), nn.Linear(20, 10)
x, T = torch.randn(32, 20), 2.0
with torch.no_grad():
    t = F.log_softmax(teacher(x) / T, dim=-1)
loss = F.kl_div(F.log_softmax(student(x) / T, dim=-1), t, reduction="batchmean") * T * T  # XEN502
loss.backward()
