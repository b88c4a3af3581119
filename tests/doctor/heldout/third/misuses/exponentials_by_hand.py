"""A softmax by hand, 'numerically stable', in a model whose loss has one inside."""
import torch
from torch import nn


def stable_softmax(x):
    e = torch.exp(x - x.max(dim=1, keepdim=True).values)
    return e / e.sum(dim=1, keepdim=True)


torch.manual_seed(371)
net = nn.Sequential(nn.Linear(18, 36), nn.ReLU(), nn.Linear(36, 7))
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
for _ in range(3):
    loss = criterion(stable_softmax(net(torch.randn(25, 18))), torch.randint(0, 7, (25,)))  # XEN101
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
