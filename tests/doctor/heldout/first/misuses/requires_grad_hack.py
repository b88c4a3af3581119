"""The error about grad_fn is silenced by requires_grad = True."""
import torch
import torch.nn as nn

torch.manual_seed(21)
model = nn.Linear(6, 3)
criterion = nn.CrossEntropyLoss()
opt = torch.optim.SGD(model.parameters(), lr=0.1)
with torch.no_grad():
    out = model(torch.randn(16, 6))
loss = criterion(out, torch.randint(0, 3, (16,)))
loss.requires_grad = True
loss.backward()  # XEN111
opt.step()
