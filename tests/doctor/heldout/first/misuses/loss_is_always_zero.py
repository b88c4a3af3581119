"""One output, float labels of shape (N, 1), CrossEntropyLoss: the loss is 0 from the first step on."""
import torch
from torch import nn

torch.manual_seed(17)
model = nn.Sequential(nn.Linear(10, 16), nn.ReLU(), nn.Linear(16, 1))
loss_func = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(2):
    x = torch.randn(32, 10)
    y = (x.sum(1, keepdim=True) > 0).float()
    prediction = model(x)
    loss = loss_func(prediction, y)  # XEN109
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
