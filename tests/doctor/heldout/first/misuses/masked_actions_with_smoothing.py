"""Illegal moves get -inf, and the policy loss is smoothed."""
import torch
from torch import nn

torch.manual_seed(48)
policy = nn.Linear(9, 9)
board = torch.randint(0, 2, (16, 9)).bool()
board[:, 4] = False
logits = policy(torch.randn(16, 9)).masked_fill(board, float("-inf"))
move = torch.full((16,), 4)
loss = nn.CrossEntropyLoss(label_smoothing=0.05)(logits, move)  # XEN406
loss.backward()
