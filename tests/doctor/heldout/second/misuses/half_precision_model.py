"""model.half() for memory, and the loss straight on its outputs."""
import torch
from torch import nn

torch.manual_seed(235)
model = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 200)).half()
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
for _ in range(2):
    loss = criterion(model(torch.randn(32, 32).half()), torch.randint(0, 200, (32,)))  # XEN407
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
