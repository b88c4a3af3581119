"""Softened with T = 5, not multiplied by 25."""
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(69)
student, teacher, x, T = nn.Linear(10, 5), nn.Linear(10, 5), torch.randn(16, 10), 5.0
with torch.no_grad():
    soft = F.softmax(teacher(x) / T, dim=1)
loss = F.kl_div(F.log_softmax(student(x) / T, dim=1), soft, reduction="batchmean")  # no rule: E5
loss.backward()
