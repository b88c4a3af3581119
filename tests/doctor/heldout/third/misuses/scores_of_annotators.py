"""Five annotators' votes per class are the target, as counts and not as shares."""
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(347)
net = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4))
optimizer = torch.optim.Adam(net.parameters())
for _ in range(3):
    votes = F.one_hot(torch.randint(0, 4, (32, 5)), 4).sum(1).float()
    loss = F.cross_entropy(net(torch.randn(32, 16)), votes)  # XEN204
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
