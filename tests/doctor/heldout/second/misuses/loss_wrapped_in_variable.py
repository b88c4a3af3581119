"""An old snippet: the loss is wrapped again as Variable(loss.data, requires_grad=True) 'because of the error'."""
import torch
from torch import nn
from torch.autograd import Variable

torch.manual_seed(215)
model = nn.Linear(12, 3)
criterion, optimizer = nn.CrossEntropyLoss(), torch.optim.SGD(model.parameters(), lr=0.1)


def step(inputs, labels):
    outputs = model(Variable(inputs))
    loss = criterion(outputs, Variable(labels))
    loss = Variable(loss.data, requires_grad=True)
    optimizer.zero_grad()
    loss.backward()  # XEN111
    optimizer.step()
    return loss.item()


for _ in range(3):
    step(torch.randn(16, 12), torch.randint(0, 3, (16,)))
