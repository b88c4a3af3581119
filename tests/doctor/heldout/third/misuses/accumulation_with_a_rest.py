"""Gradients of three micro-batches of 16, 16 and 3 samples, each mean divided by three."""
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(353)
net = nn.Sequential(nn.Linear(12, 24), nn.ReLU(), nn.Linear(24, 5))
optimizer = torch.optim.Adam(net.parameters())
x, y = torch.randn(35, 12), torch.randint(0, 5, (35,))
y[32:] = 4
for _ in range(3):
    optimizer.zero_grad()
    for part in range(0, 35, 16):
        loss = F.cross_entropy(net(x[part : part + 16]), y[part : part + 16])  # XEN307
        (loss / 3).backward()
    optimizer.step()
