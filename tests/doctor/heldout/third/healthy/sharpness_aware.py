"""Sharpness-aware minimisation: two forward and backward passes of the same batch in one step; a small last batch."""
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(318)
net = nn.Sequential(nn.Linear(20, 50), nn.ReLU(), nn.Linear(50, 8))
optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
for size in (64, 64, 17):
    x, y = torch.randn(size, 20), torch.randint(0, 8, (size,))
    F.cross_entropy(net(x), y, label_smoothing=0.1).backward()
    with torch.no_grad():
        norm = torch.stack([p.grad.norm() for p in net.parameters()]).norm()
        moves = [p.grad * (0.05 / (norm + 1e-12)) for p in net.parameters()]
        for p, move in zip(net.parameters(), moves):
            p.add_(move)
    optimizer.zero_grad()
    F.cross_entropy(net(x), y, label_smoothing=0.1).backward()
    with torch.no_grad():
        for p, move in zip(net.parameters(), moves):
            p.sub_(move)
    optimizer.step()
    optimizer.zero_grad()
