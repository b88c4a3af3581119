"""A bilinear score of non-negative features, scaled: legitimate logits that are all positive."""
import torch
from torch import nn

torch.manual_seed(34)
f, W = nn.Sequential(nn.Linear(12, 24), nn.ReLU()), nn.Parameter(torch.rand(24, 5) * 0.2)
opt = torch.optim.Adam([W, *f.parameters()])
for _ in range(3):
    loss = nn.functional.cross_entropy(f(torch.randn(32, 12)) @ W, torch.randint(0, 5, (32,)))
    opt.zero_grad()
    loss.backward()
    opt.step()
