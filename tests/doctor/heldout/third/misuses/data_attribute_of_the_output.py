"""`.data`, from the days of Variable, between the model and its loss."""
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(341)
net = nn.Sequential(nn.Linear(10, 20), nn.Tanh(), nn.Linear(20, 3))
optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
output = net(torch.randn(30, 10)).data
optimizer.zero_grad()
F.cross_entropy(output, torch.randint(0, 3, (30,))).backward()  # XEN111
