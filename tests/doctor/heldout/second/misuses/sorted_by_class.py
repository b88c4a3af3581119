"""The dataset is sorted by class and the loader does not shuffle: each batch has one class."""
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(247)
y = torch.arange(8).repeat_interleave(64)
x = torch.randn(512, 10) + y[:, None].float()
loader = DataLoader(TensorDataset(x, y), batch_size=32)
model, criterion = nn.Linear(10, 8), nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
for xb, yb in loader:
    loss = criterion(model(xb), yb)  # XEN212
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
