"""Mixed precision as in the manual."""
import torch
from torch import nn

torch.manual_seed(17)
model, criterion = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 10)), nn.CrossEntropyLoss()
opt = torch.optim.SGD(model.parameters(), lr=0.1)
scaler = torch.amp.GradScaler("cpu", enabled=False)
for _ in range(3):
    opt.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = criterion(model(torch.randn(32, 20)), torch.randint(0, 10, (32,)))
    scaler.scale(loss).backward()
    scaler.step(opt)
    scaler.update()
