"""The reduction as the third argument of the function."""
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(354)
loss = F.nll_loss(nn.Linear(6, 4)(torch.randn(8, 6)).log_softmax(1), torch.randint(0, 4, (8,)), "sum")  # XEN312
