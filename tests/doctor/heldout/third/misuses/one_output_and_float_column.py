"""Churn, yes or no, with one output and a float column as the target: cross_entropy over one class is always 0."""
import torch
from torch import nn

torch.manual_seed(339)
net = nn.Sequential(nn.Linear(12, 24), nn.ReLU(), nn.Linear(24, 1))
loss_function = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(net.parameters())
x, churned = torch.randn(200, 12), (torch.rand(200) < 0.3).float()
for start in range(0, 200, 50):
    batch, label = x[start : start + 50], churned[start : start + 50].unsqueeze(1)
    loss = loss_function(net(batch), label)  # XEN109
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
