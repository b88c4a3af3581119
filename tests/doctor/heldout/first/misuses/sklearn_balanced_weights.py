"""compute_class_weight gives float64."""
import numpy as np
import torch
from torch import nn

torch.manual_seed(39)
counts = np.array([50, 30, 20])
weights = torch.from_numpy(counts.sum() / (3 * counts))
criterion = nn.CrossEntropyLoss(weight=weights)
loss = criterion(nn.Linear(4, 3)(torch.randn(10, 4)), torch.randint(0, 3, (10,)))  # XEN303
