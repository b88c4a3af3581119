"""A long tail of classes: the logarithm of the prior is added to the logits while training, not afterwards."""
import torch
from torch import nn

torch.manual_seed(311)
counts = (1000 * 0.75 ** torch.arange(20)).clamp(min=3)
prior = counts / counts.sum()
net = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 20))
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
for _ in range(6):
    y = torch.multinomial(prior, 128, replacement=True)
    x = torch.randn(128, 16) + y[:, None] / 10
    loss = criterion(net(x) + 1.0 * prior.log(), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
net.eval()
with torch.no_grad():
    balanced = torch.arange(20).repeat(4)
    print("balanced", criterion(net(torch.randn(80, 16) + balanced[:, None] / 10), balanced).item())
