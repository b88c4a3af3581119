"""One logit, (N, 1) float targets, BCEWithLogitsLoss; sigmoid only to count hits."""
import torch
from torch import nn

torch.manual_seed(32)
model, criterion = nn.Linear(10, 1), nn.BCEWithLogitsLoss()
opt = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(3):
    x = torch.randn(64, 10)
    y = (x[:, :1] > 0).float()
    out = model(x)
    loss = criterion(out, y)
    hits = (torch.sigmoid(out).round() == y).float().mean().item()
    opt.zero_grad()
    loss.backward()
    opt.step()
