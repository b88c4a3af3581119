"""Ages as distributions: KL to a Gaussian around the age, and the expected age by L1."""
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(307)
AGES = torch.arange(0, 101, dtype=torch.float32)
net = nn.Sequential(nn.Linear(30, 64), nn.ReLU(), nn.Linear(64, 101))
optimizer = torch.optim.Adam(net.parameters())
for _ in range(4):
    x, age = torch.randn(24, 30), torch.randint(1, 95, (24,)).float()
    target = torch.exp(-((AGES[None] - age[:, None]) ** 2) / (2 * 2.0**2))
    target = target / target.sum(1, keepdim=True)
    log_p = F.log_softmax(net(x), dim=1)
    expected = (log_p.exp() * AGES).sum(1)
    loss = F.kl_div(log_p, target, reduction="batchmean") + 0.1 * F.l1_loss(expected, age)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
