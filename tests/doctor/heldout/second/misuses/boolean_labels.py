"""The label is a condition on a column: a boolean tensor."""
import torch
from torch import nn

torch.manual_seed(227)
income = torch.rand(30) * 1e5
X, y = torch.randn(30, 6), income > 5e4
clf = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 2))
loss = nn.CrossEntropyLoss()(clf(X), y)  # XEN207
loss.backward()
