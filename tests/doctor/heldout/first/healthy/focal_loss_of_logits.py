"""A focal loss as it should be."""
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(5)
model = nn.Linear(10, 6)
opt = torch.optim.SGD(model.parameters(), lr=0.1)
alpha = torch.tensor([0.5, 1.0, 1.0, 2.0, 1.0, 1.5])
for _ in range(3):
    logits, y = model(torch.randn(40, 10)), torch.randint(0, 6, (40,))
    ce = F.cross_entropy(logits, y, reduction="none")
    pt = torch.exp(-ce)
    loss = (alpha[y] * (1 - pt) ** 2 * ce).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
