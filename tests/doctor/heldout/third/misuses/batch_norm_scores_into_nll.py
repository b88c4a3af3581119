"""The last layer is a BatchNorm1d, and nll_loss was copied from an example whose model ended in log_softmax."""
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(335)
net = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 10), nn.BatchNorm1d(10))
optimizer = torch.optim.Adadelta(net.parameters(), lr=1.0)
for _ in range(3):
    data, target = torch.randn(64, 20), torch.randint(0, 10, (64,))
    optimizer.zero_grad()
    loss = F.nll_loss(net(data), target)  # XEN104
    loss.backward()
    optimizer.step()
