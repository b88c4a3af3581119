"""Labels smoothed by hand, and label_smoothing as well."""
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(47)
model = nn.Linear(10, 6)
smooth = F.one_hot(torch.randint(0, 6, (32,)), 6) * 0.9 + 0.1 / 6
loss = nn.CrossEntropyLoss(label_smoothing=0.1)(model(torch.randn(32, 10)), smooth)  # XEN401
loss.backward()
