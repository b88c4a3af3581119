"""Class weights as they stand in the config: whole numbers."""
import torch
from torch import nn

torch.manual_seed(232)
CFG = {"classes": 3, "weights": [1, 10, 40]}
criterion = nn.CrossEntropyLoss(weight=torch.tensor(CFG["weights"]))
model = nn.Linear(5, CFG["classes"])
loss = criterion(model(torch.randn(12, 5)), torch.randint(0, 3, (12,)))  # XEN303
loss.backward()
