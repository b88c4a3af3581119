"""A class without training samples got the weight 0, and a batch holds only that class."""
import torch
from torch import nn

torch.manual_seed(43)
criterion = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 0.0, 2.0]))
model = nn.Linear(5, 3)
loss = criterion(model(torch.randn(4, 5)), torch.ones(4, dtype=torch.long))  # XEN306
loss.backward()
