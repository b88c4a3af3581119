"""A Jensen-Shannon divergence between two augmentations, with probabilities where logarithms belong."""
import torch
from torch import nn

torch.manual_seed(363)
net = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 8))
divergence = nn.KLDivLoss(reduction="batchmean")
optimizer = torch.optim.Adam(net.parameters())
for _ in range(3):
    x = torch.randn(32, 16)
    p, q = net(x).softmax(1), net(x + 0.1 * torch.randn_like(x)).softmax(1)
    middle = ((p + q) / 2).detach()
    loss = 0.5 * divergence(p, middle)  # XEN501
    loss = loss + 0.5 * divergence(q, middle)  # XEN501
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
