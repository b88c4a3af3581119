"""ignore_index=0 was copied from a language model into a classifier that has a class 0."""
import torch
import torch.nn as nn

torch.manual_seed(37)
model = nn.Linear(14, 4)
criterion = nn.CrossEntropyLoss(ignore_index=0)
optimizer = torch.optim.Adam(model.parameters())
for _ in range(3):
    loss = criterion(model(torch.randn(64, 14)), torch.randint(0, 4, (64,)))  # XEN210
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
