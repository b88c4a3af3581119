"""Labels read with torch.Tensor(list), which is float."""
import torch
from torch import nn

torch.manual_seed(30)
labels = torch.Tensor([0, 2, 1, 1, 0, 2])
criterion = nn.CrossEntropyLoss()
loss = criterion(nn.Linear(4, 3)(torch.randn(6, 4)), labels)  # XEN207
