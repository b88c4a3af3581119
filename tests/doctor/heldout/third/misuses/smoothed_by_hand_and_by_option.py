"""Labels are smoothed in the data set, and label_smoothing is switched on in the recipe."""
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(355)
C, EPS = 10, 0.1
net = nn.Linear(20, C)
criterion = nn.CrossEntropyLoss(label_smoothing=EPS)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for _ in range(3):
    y = F.one_hot(torch.randint(0, C, (32,)), C) * (1 - EPS) + EPS / C
    loss = criterion(net(torch.randn(32, 20)), y)  # XEN401
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
