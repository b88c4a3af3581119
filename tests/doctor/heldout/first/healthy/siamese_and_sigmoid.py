"""A siamese net: sigmoid and BCELoss."""
import torch
from torch import nn

torch.manual_seed(16)
f, g = nn.Linear(20, 16), nn.Sequential(nn.Linear(16, 1), nn.Sigmoid())
opt, criterion = torch.optim.Adadelta([*f.parameters(), *g.parameters()]), nn.BCELoss()
for _ in range(3):
    a, b, same = torch.randn(32, 20), torch.randn(32, 20), torch.randint(0, 2, (32,)).float()
    loss = criterion(g((f(a) - f(b)).abs()).squeeze(), same)
    opt.zero_grad()
    loss.backward()
    opt.step()
