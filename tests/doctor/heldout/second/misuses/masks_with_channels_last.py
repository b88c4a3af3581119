"""Masks read by OpenCV keep a last axis: (N, H, W, 1)."""
import numpy as np
import torch
from torch import nn

torch.manual_seed(222)
masks = np.random.default_rng(0).integers(0, 3, size=(2, 12, 12, 1))
fcn = nn.Conv2d(3, 3, 1)
criterion = nn.CrossEntropyLoss()
scores = fcn(torch.randn(2, 3, 12, 12))
loss = criterion(scores, torch.from_numpy(masks).long())  # XEN202
loss.backward()
