"""Consistency by binary cross entropy against a second network's sigmoid, which nobody detached."""
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(229)
net, critic = nn.Linear(10, 5), nn.Linear(10, 5)
opt = torch.optim.Adam([*net.parameters(), *critic.parameters()])
for _ in range(2):
    x = torch.randn(24, 10)
    soft = torch.sigmoid(critic(x))
    loss = F.binary_cross_entropy_with_logits(net(x), soft)  # XEN209
    opt.zero_grad()
    loss.backward()
    opt.step()
