"""Predictions are turned into 0 and 1 before nn.BCELoss, to compare like with like."""
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1), nn.Sigmoid())

    def forward(self, x):
        out = self.body(x)
        return (out >= 0.5).float()


torch.manual_seed(214)
net, criterion = Net(), nn.BCELoss()
optimizer = torch.optim.Adam(net.parameters())
outputs = net(torch.randn(20, 8))
loss = criterion(outputs, torch.randint(0, 2, (20, 1)).float())  # XEN110
optimizer.zero_grad()
loss.backward()
