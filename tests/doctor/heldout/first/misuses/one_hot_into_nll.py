"""pandas' get_dummies as the target of NLLLoss."""
import numpy as np
import torch
from torch import nn

torch.manual_seed(8)
dummies = np.eye(4, dtype=np.int64)[np.arange(20) % 4]
net = nn.Sequential(nn.Linear(6, 4), nn.LogSoftmax(dim=1))
criterion = nn.NLLLoss()
loss = criterion(net(torch.randn(20, 6)), torch.from_numpy(dummies))  # XEN201
