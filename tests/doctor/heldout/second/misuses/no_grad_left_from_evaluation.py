"""torch.set_grad_enabled(False) of the evaluation is never undone; training then cannot go backward."""
import torch
from torch import nn

torch.manual_seed(217)
model, criterion = nn.Linear(6, 4), nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)


def evaluate(x, y):
    torch.set_grad_enabled(False)
    return criterion(model(x), y).item()


def train(x, y):
    optimizer.zero_grad()
    loss = criterion(model(x), y)
    loss.backward()  # XEN111
    optimizer.step()


try:
    evaluate(torch.randn(8, 6), torch.randint(0, 4, (8,)))
    train(torch.randn(8, 6), torch.randint(0, 4, (8,)))
finally:
    torch.set_grad_enabled(True)
