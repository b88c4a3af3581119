"""Standardised columns, one of them constant: 0 / 0 in the input."""
import torch
from torch import nn

torch.manual_seed(236)
raw = torch.rand(60, 8)
raw[:, 5] = 1.0
x = (raw - raw.mean(0)) / raw.std(0)
model, criterion = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3)), nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters())
for i in range(0, 60, 20):
    loss = criterion(model(x[i : i + 20]), torch.randint(0, 3, (20,)))  # XEN408
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
