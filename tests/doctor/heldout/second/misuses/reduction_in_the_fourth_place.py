"""F.cross_entropy(x, y, None, 'none'): the fourth parameter is size_average, so the mean comes back."""
import warnings

import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(248)
model = nn.Linear(6, 5)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    loss = F.cross_entropy(model(torch.randn(9, 6)), torch.randint(0, 5, (9,)), None, "none")  # XEN312
(loss * torch.rand(9)).mean().backward()
