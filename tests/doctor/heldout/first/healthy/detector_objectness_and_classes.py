"""A small detector: BCE with logits for objects, cross entropy for the cells that hold one."""
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(15)
head = nn.Conv2d(8, 1 + 4 + 6, 1)
opt = torch.optim.SGD(head.parameters(), lr=0.01)
for _ in range(3):
    out = head(torch.randn(4, 8, 7, 7)).permute(0, 2, 3, 1)
    has = torch.rand(4, 7, 7) < 0.2
    obj = F.binary_cross_entropy_with_logits(out[..., 0], has.float(), pos_weight=torch.tensor(4.0))
    xywh = F.mse_loss(torch.sigmoid(out[..., 1:5][has]), torch.rand(int(has.sum()), 4))
    cls = F.cross_entropy(out[..., 5:][has], torch.randint(0, 6, (int(has.sum()),)))
    loss = obj + xywh + cls
    opt.zero_grad()
    loss.backward()
    opt.step()
