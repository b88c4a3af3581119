"""ArcFace: cosines, a margin, a scale of 30. The first loss is high because the margin wants it so."""
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(28)
backbone, W = nn.Linear(40, 32), nn.Parameter(torch.randn(20, 32))
opt = torch.optim.SGD([W, *backbone.parameters()], lr=0.1)
for _ in range(3):
    x, y = torch.randn(32, 40), torch.randint(0, 20, (32,))
    cos = F.linear(F.normalize(backbone(x)), F.normalize(W)).clamp(-1 + 1e-6, 1 - 1e-6)
    with_margin = torch.cos(torch.acos(cos) + 0.5)
    onehot = F.one_hot(y, 20).bool()
    loss = F.cross_entropy(30.0 * torch.where(onehot, with_margin, cos), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
