"""A binary head of one output, flattened to (N,), with labels of 0 and 1 as floats: the batch becomes the classes."""
import torch
from torch import nn

torch.manual_seed(231)
model, criterion = nn.Sequential(nn.Linear(9, 9), nn.Tanh(), nn.Linear(9, 1)), nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters())
for _ in range(2):
    X, y = torch.randn(40, 9), torch.randint(0, 2, (40,))
    loss = criterion(model(X).view(-1), y.float().view(-1))  # XEN213
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
