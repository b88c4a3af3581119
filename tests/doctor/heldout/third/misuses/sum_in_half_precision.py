"""A head in half precision and the sum over all tokens: more than float16 can hold."""
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(358)
head = nn.Linear(16, 3000).half()
hidden, tokens = torch.randn(10000, 16).half(), torch.randint(0, 3000, (10000,))
loss = F.cross_entropy(head(hidden), tokens, reduction="sum")  # XEN407
loss.backward()
