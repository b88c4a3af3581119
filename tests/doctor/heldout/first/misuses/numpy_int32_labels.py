"""Labels from a C library: int32."""
import numpy as np
import torch
from torch import nn

torch.manual_seed(29)
labels = np.arange(12, dtype=np.int32) % 3
model = nn.Linear(4, 3)
loss = nn.CrossEntropyLoss()(model(torch.randn(12, 4)), torch.from_numpy(labels))  # XEN207
