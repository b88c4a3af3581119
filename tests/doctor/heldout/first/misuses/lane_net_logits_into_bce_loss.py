"""BCELoss on raw outputs: torch refuses, and the message does not say what to do."""
import torch
import torch.nn as nn

torch.manual_seed(19)
net = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 1, 1))
bce = nn.BCELoss()
pred = net(torch.randn(2, 1, 8, 8))
loss = bce(pred, (torch.rand(2, 1, 8, 8) > 0.5).float())  # XEN106
