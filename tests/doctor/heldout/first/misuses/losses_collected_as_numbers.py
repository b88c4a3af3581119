"""Losses are appended by .item() and summed into a new tensor."""
import torch
import torch.nn as nn

torch.manual_seed(22)
model = nn.Linear(6, 3)
criterion = nn.CrossEntropyLoss()
opt = torch.optim.SGD(model.parameters(), lr=0.1)
losses = []
for task in range(3):
    losses.append(criterion(model(torch.randn(16, 6)), torch.randint(0, 3, (16,))).item())
total = torch.tensor(losses, requires_grad=True).mean()
total.backward()  # XEN111
opt.step()
