"""NT-Xent: similarities over a temperature, the diagonal masked by -inf, targets the partners."""
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(7)
f = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 16))
opt = torch.optim.Adam(f.parameters())
for _ in range(3):
    x = torch.randn(16, 20)
    z = F.normalize(f(torch.cat([x + 0.1 * torch.randn_like(x), x + 0.1 * torch.randn_like(x)])), dim=1)
    sim = z @ z.T / 0.1
    sim = sim.masked_fill(torch.eye(32, dtype=torch.bool), float("-inf"))
    loss = F.cross_entropy(sim, torch.arange(32).roll(16))
    opt.zero_grad()
    loss.backward()
    opt.step()
