"""A tabular classifier from a tutorial: nn.Sequential(..., nn.Softmax(dim=1)) with CrossEntropyLoss."""
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(2)
X, Y = torch.rand(150, 4) * 5, torch.arange(150) // 50
loader = DataLoader(TensorDataset(X, Y), batch_size=15, shuffle=True)
net = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 3), nn.Softmax(dim=1))
criterion = nn.CrossEntropyLoss()
opt = torch.optim.Adam(net.parameters(), lr=1e-2)
for epoch in range(1):
    for xb, yb in loader:
        pred = net(xb)
        loss = criterion(pred, yb)  # XEN101
        opt.zero_grad()
        loss.backward()
        opt.step()
