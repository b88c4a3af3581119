"""torch.max(one_hot, 1)[0] gives ones, not classes."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(32)
model = nn.Linear(11, 5)
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters())
for _ in range(2):
    one_hot = F.one_hot(torch.randint(0, 5, (64,)), 5)
    output = model(torch.randn(64, 11))
    loss = criterion(output, torch.max(one_hot, 1)[0])  # XEN208
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
