"""Smoothed one-hot targets, no label_smoothing beside them."""
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(29)
model = nn.Linear(10, 6)
opt = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(3):
    smooth = F.one_hot(torch.randint(0, 6, (32,)), 6) * 0.9 + 0.1 / 6
    loss = F.cross_entropy(model(torch.randn(32, 10)), smooth)
    opt.zero_grad()
    loss.backward()
    opt.step()
