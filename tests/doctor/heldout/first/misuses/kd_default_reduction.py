"""Hinton's distillation with nn.KLDivLoss() as it comes."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(52)


def loss_fn_kd(outputs, labels, teacher_outputs, alpha=0.9, T=4):
    kd = nn.KLDivLoss()(  # XEN503
        F.log_softmax(outputs / T, dim=1), F.softmax(teacher_outputs / T, dim=1)
    )
    return kd * (alpha * T * T) + F.cross_entropy(outputs, labels) * (1.0 - alpha)


student, teacher = nn.Linear(20, 10), nn.Linear(20, 10).eval()
optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
for _ in range(2):
    x, y = torch.randn(32, 20), torch.randint(0, 10, (32,))
    with torch.no_grad():
        t = teacher(x)
    loss = loss_fn_kd(student(x), y, t)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
