"""Logits are minus squared distances to prototypes: none is positive."""
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(27)
f = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 8))
opt = torch.optim.Adam(f.parameters())
for _ in range(3):
    centres = torch.randn(5, 1, 20)
    support, query = centres + 0.3 * torch.randn(5, 5, 20), centres + 0.3 * torch.randn(5, 6, 20)
    prototypes = f(support).mean(1)
    logits = -torch.cdist(f(query).flatten(0, 1), prototypes) ** 2
    loss = F.cross_entropy(logits, torch.arange(5).repeat_interleave(6))
    opt.zero_grad()
    loss.backward()
    opt.step()
