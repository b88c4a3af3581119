"""A feature's length by a square root that is sometimes of 0: after the first step everything is NaN."""
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(359)
embed, net = nn.Linear(6, 8, bias=False), nn.Linear(9, 4)
optimizer = torch.optim.SGD([*embed.parameters(), *net.parameters()], lr=0.1)
for _ in range(3):
    x = torch.randn(20, 6)
    x[3] = 0
    features = embed(x)
    length = features.square().sum(1, keepdim=True).sqrt()
    loss = F.cross_entropy(net(torch.cat([features, length], dim=1)), torch.randint(0, 4, (20,)))  # XEN408
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
