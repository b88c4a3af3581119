"""A model that is nearly right already: tiny losses, saturated probabilities, a batch of one class."""
import torch
from torch import nn

torch.manual_seed(33)
model = nn.Linear(4, 4)
with torch.no_grad():
    model.weight.copy_(20 * torch.eye(4))
    model.bias.zero_()
opt, criterion = torch.optim.SGD(model.parameters(), lr=1e-3), nn.CrossEntropyLoss()
for step in range(3):
    y = torch.full((8,), step)
    loss = criterion(model(torch.eye(4)[y]), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
