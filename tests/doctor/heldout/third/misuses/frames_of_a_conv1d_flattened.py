"""Scores (N, C, T) of a convolution, reshaped to (-1, C) beside flattened labels: classes and time are mixed up."""
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(343)
C = 6
net = nn.Sequential(nn.Conv1d(13, 32, 5, padding=2), nn.ReLU(), nn.Conv1d(32, C, 1))
optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
for _ in range(3):
    speech, phones = torch.randn(4, 13, 50), torch.randint(0, C, (4, 50))
    loss = F.cross_entropy(net(speech).reshape(-1, C), phones.reshape(-1))  # XEN113
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
