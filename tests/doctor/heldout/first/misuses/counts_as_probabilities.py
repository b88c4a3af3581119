"""Votes of annotators, not divided by their number."""
import torch
from torch import nn

torch.manual_seed(34)
votes = torch.distributions.Multinomial(10, torch.ones(8)).sample((20,))
model, criterion = nn.Linear(16, 8), nn.CrossEntropyLoss()
loss = criterion(model(torch.randn(20, 16)), votes)  # XEN204
loss.backward()
