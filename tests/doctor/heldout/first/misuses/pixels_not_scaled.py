"""Images of 0 .. 255 as they come from a file."""
import torch
from torch import nn

torch.manual_seed(51)
net = nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
for _ in range(1):
    images = torch.randint(0, 256, (64, 1, 28, 28)).float()
    loss = criterion(net(images), torch.randint(0, 10, (64,)))  # XEN411
    loss.backward()
    optimizer.step()
