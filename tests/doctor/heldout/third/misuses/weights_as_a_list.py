"""Weights of the classes as a Python list."""
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(351)
net = nn.Linear(10, 3)
loss = F.cross_entropy(net(torch.randn(12, 10)), torch.randint(0, 3, (12,)), weight=[1.0, 2.0, 5.0])  # XEN303
