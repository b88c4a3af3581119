"""KL divergence to a teacher with gradients."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(36)
teacher, student = nn.Linear(10, 6), nn.Linear(10, 6)
x = torch.randn(32, 10)
kl = nn.KLDivLoss(reduction="batchmean")
loss = kl(F.log_softmax(student(x), dim=1), F.softmax(teacher(x), dim=1))  # XEN209
loss.backward()
