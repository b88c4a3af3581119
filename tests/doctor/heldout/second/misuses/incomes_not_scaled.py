"""Tabular data as it came: an age, an income, a year."""
import torch
from torch import nn

torch.manual_seed(238)
model = nn.Sequential(nn.Linear(3, 32), nn.ReLU(), nn.Linear(32, 4))
criterion, optimizer = nn.CrossEntropyLoss(), torch.optim.Adam(model.parameters(), lr=1e-3)
for _ in range(2):
    age, income, year = 18 + 60 * torch.rand(50), 9e4 * torch.rand(50), 1990 + 30 * torch.rand(50)
    loss = criterion(model(torch.stack([age, income, year], 1)), torch.randint(0, 4, (50,)))  # XEN411
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
