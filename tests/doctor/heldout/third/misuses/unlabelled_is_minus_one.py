"""Semi-supervised data in the manner of scikit-learn: -1 means that there is no label."""
import torch
from torch import nn

torch.manual_seed(346)
net = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4))
y = torch.randint(0, 4, (64,))
y[torch.rand(64) < 0.5] = -1
loss = nn.CrossEntropyLoss()(net(torch.randn(64, 16)), y)  # XEN203
