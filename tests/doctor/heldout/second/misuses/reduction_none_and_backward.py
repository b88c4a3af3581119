"""reduction='none' was wanted for logging; backward is called on the vector."""
import torch
from torch import nn

torch.manual_seed(233)
model = nn.Linear(7, 4)
criterion = nn.CrossEntropyLoss(reduction="none")
losses = criterion(model(torch.randn(10, 7)), torch.randint(0, 4, (10,)))
print("hardest:", losses.argmax().item())
losses.backward()  # XEN310
