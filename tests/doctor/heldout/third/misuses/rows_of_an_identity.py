"""One-hot labels as rows of an integer identity matrix."""
import torch
from torch import nn

torch.manual_seed(344)
labels = torch.eye(10, dtype=torch.long)[torch.randint(0, 10, (32,))]
net = nn.Linear(20, 10)
loss = nn.CrossEntropyLoss()(net(torch.randn(32, 20)), labels)  # XEN201
