"""Pseudo labels of a weak view, masked by confidence; often nothing passes."""
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(26)
model = nn.Linear(20, 10)
opt = torch.optim.SGD(model.parameters(), lr=0.03)
for _ in range(3):
    x, y, weak, strong = torch.randn(16, 20), torch.randint(0, 10, (16,)), torch.randn(48, 20), torch.randn(48, 20)
    with torch.no_grad():
        confidence, pseudo = F.softmax(model(weak), dim=1).max(1)
    mask = (confidence > 0.3).float()
    unsupervised = (F.cross_entropy(model(strong), pseudo, reduction="none") * mask).mean()
    loss = F.cross_entropy(model(x), y) + unsupervised
    opt.zero_grad()
    loss.backward()
    opt.step()
