"""Entropy minimisation by hand beside a cross entropy: p log p from log_softmax."""
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(35)
model = nn.Linear(20, 8)
opt = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(3):
    logits = model(torch.randn(32, 20))
    entropy = -(F.softmax(logits, 1) * F.log_softmax(logits, 1)).sum(1).mean()
    loss = F.cross_entropy(logits, torch.randint(0, 8, (32,))) + 0.1 * entropy
    opt.zero_grad()
    loss.backward()
    opt.step()
