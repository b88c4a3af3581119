"""(batch, classes, time) from a Conv1d: the class dimension is where torch wants it."""
import torch
from torch import nn

torch.manual_seed(36)
net = nn.Sequential(nn.Conv1d(40, 32, 3, padding=1), nn.ReLU(), nn.Conv1d(32, 12, 1))
opt = torch.optim.Adam(net.parameters())
for _ in range(3):
    labels = torch.randint(0, 12, (4, 12))
    labels[:, 10:] = -100
    loss = nn.functional.cross_entropy(net(torch.randn(4, 40, 12)), labels)
    opt.zero_grad()
    loss.backward()
    opt.step()
