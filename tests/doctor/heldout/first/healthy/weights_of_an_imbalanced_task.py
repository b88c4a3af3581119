"""Class weights, normalised to a mean of 1, on batches with several classes."""
import torch
from torch import nn

torch.manual_seed(13)
freq = torch.tensor([0.6, 0.25, 0.1, 0.05])
weight = (1 / freq) / (1 / freq).mean()
model, criterion = nn.Linear(12, 4), nn.CrossEntropyLoss(weight=weight)
opt = torch.optim.Adam(model.parameters())
for _ in range(3):
    loss = criterion(model(torch.randn(64, 12)), torch.multinomial(freq, 64, replacement=True))
    opt.zero_grad()
    loss.backward()
    opt.step()
