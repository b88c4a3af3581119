"""The whole model, and with it the loss, in bfloat16."""
import torch
from torch import nn

torch.manual_seed(49)
model = nn.Sequential(nn.Linear(32, 64), nn.GELU(), nn.Linear(64, 500)).to(torch.bfloat16)
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.AdamW(model.parameters())
for _ in range(2):
    loss = criterion(model(torch.randn(64, 32, dtype=torch.bfloat16)), torch.randint(0, 500, (64,)))  # XEN407
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
