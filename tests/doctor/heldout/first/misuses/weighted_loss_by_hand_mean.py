"""Class weights with reduction='mean': the denominator is not N."""
import torch
from torch import nn

torch.manual_seed(41)
freq = torch.tensor([0.7, 0.2, 0.1])
criterion = nn.CrossEntropyLoss(weight=(1 / freq) / (1 / freq).sum())
model = nn.Linear(6, 3)
labels = torch.multinomial(freq, 40, replacement=True)
loss = criterion(model(torch.randn(40, 6)), labels)  # XEN301
loss.backward()
