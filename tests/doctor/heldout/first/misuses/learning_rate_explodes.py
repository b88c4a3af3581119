"""A learning rate of 1e18: NaN after the first steps."""
import torch
from torch import nn

torch.manual_seed(50)
model = nn.Sequential(nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 4))
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=1e30)
for _ in range(3):
    loss = criterion(model(torch.randn(16, 10)), torch.randint(0, 4, (16,)))  # XEN408
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
