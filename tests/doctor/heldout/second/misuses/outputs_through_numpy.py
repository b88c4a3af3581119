"""The outputs go through numpy to be concatenated, and come back as a tensor that requires a gradient."""
import numpy as np
import torch
from torch import nn

torch.manual_seed(216)
encoder, criterion = nn.Linear(10, 4), nn.CrossEntropyLoss()
opt = torch.optim.Adam(encoder.parameters())
for _ in range(2):
    parts = [encoder(torch.randn(1, 10)).detach().numpy() for _ in range(12)]
    logits = torch.tensor(np.concatenate(parts), requires_grad=True)
    loss = criterion(logits, torch.randint(0, 4, (12,)))
    opt.zero_grad()
    loss.backward()  # XEN111
    opt.step()
