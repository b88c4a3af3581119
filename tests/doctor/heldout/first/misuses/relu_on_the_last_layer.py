"""Every layer, the last one too, goes through ReLU."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(57)


class MLP(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(20, 30), nn.Linear(30, 30), nn.Linear(30, 10)])

    def forward(self, x):
        for layer in self.layers:
            x = F.relu(layer(x))
        return x


model = MLP()
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(2):
    loss = criterion(model(torch.randn(32, 20)), torch.randint(0, 10, (32,)))  # XEN108
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
