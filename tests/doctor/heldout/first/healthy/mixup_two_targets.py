"""Mixup as a sum of two losses."""
import numpy as np
import torch
from torch import nn

np.random.seed(9)
torch.manual_seed(9)
model, criterion = nn.Linear(20, 10), nn.CrossEntropyLoss()
opt = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(3):
    x, y = torch.randn(32, 20), torch.randint(0, 10, (32,))
    lam, index = np.random.beta(0.4, 0.4), torch.randperm(32)
    out = model(lam * x + (1 - lam) * x[index])
    loss = lam * criterion(out, y) + (1 - lam) * criterion(out, y[index])
    opt.zero_grad()
    loss.backward()
    opt.step()
