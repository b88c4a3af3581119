"""Mutual learning by mistake: the teacher's softmax is not detached."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(35)
teacher, student = nn.Linear(10, 6), nn.Linear(10, 6)
optimizer = torch.optim.Adam(student.parameters())
for _ in range(2):
    x = torch.randn(32, 10)
    soft = F.softmax(teacher(x) / 2, dim=1)
    loss = F.cross_entropy(student(x), soft)  # XEN209
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
