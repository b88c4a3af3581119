"""Hard example mining: per-pixel losses, the top of them, their mean; pixel weights at the boundaries."""
import torch
import torch.nn.functional as F
from torch import nn


class OhemCELoss(nn.Module):
    def __init__(self, thresh, ignore_lb=255):
        super().__init__()
        self.thresh = -torch.log(torch.tensor(thresh))
        self.ignore_lb = ignore_lb
        self.criteria = nn.CrossEntropyLoss(ignore_index=ignore_lb, reduction="none")

    def forward(self, logits, labels):
        n_min = labels[labels != self.ignore_lb].numel() // 16
        loss = self.criteria(logits, labels).view(-1)
        loss_hard = loss[loss > self.thresh]
        if loss_hard.numel() < n_min:
            loss_hard, _ = loss.topk(n_min)
        return torch.mean(loss_hard)


torch.manual_seed(124)
net = nn.Conv2d(4, 5, 3, padding=1)
ohem, opt = OhemCELoss(0.7), torch.optim.SGD(net.parameters(), lr=0.02)
for _ in range(3):
    x, y = torch.randn(2, 4, 16, 16), torch.randint(0, 5, (2, 16, 16))
    y[:, :, -1] = 255
    out = net(x)
    weights = 1 + 4 * torch.rand(2, 16, 16)
    pixel = F.cross_entropy(out, y, ignore_index=255, reduction="none")
    loss = ohem(out, y) + (pixel * weights).sum() / weights.sum()
    opt.zero_grad()
    loss.backward()
    opt.step()
