"""nn.LogSoftmax(dim=0) on (N, C)."""
import torch
from torch import nn

torch.manual_seed(56)
model = nn.Sequential(nn.Linear(13, 20), nn.ReLU(), nn.Linear(20, 6), nn.LogSoftmax(dim=0))
criterion = nn.NLLLoss()
optimizer = torch.optim.Adam(model.parameters())
for _ in range(2):
    loss = criterion(model(torch.randn(32, 13)), torch.randint(0, 6, (32,)))  # XEN107
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
