"""Labels read as one column of a table stay (N, 1)."""
import torch
from torch import nn

torch.manual_seed(9)
table = torch.cat([torch.randn(30, 5), torch.randint(0, 3, (30, 1)).float()], dim=1)
X, y = table[:, :-1], table[:, -1:].long()
model = nn.Linear(5, 3)
loss_fn = nn.CrossEntropyLoss()
loss = loss_fn(model(X), y)  # XEN202
