"""Labels of a data frame come as a column and go through a TensorDataset into nll_loss."""
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(345)
frame = np.random.default_rng(345).normal(size=(60, 9))
labels = (frame[:, :1] > 0).astype("int64") + (frame[:, 1:2] > 1).astype("int64")
loader = DataLoader(TensorDataset(torch.tensor(frame[:, 2:]).float(), torch.tensor(labels)), batch_size=20)
net = nn.Sequential(nn.Linear(7, 16), nn.ReLU(), nn.Linear(16, 3))
for x, y in loader:
    loss = F.nll_loss(F.log_softmax(net(x), dim=1), y)  # XEN202
    loss.backward()
