"""One trunk, heads of several kinds, losses kept in dictionaries."""
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn


class MultiHead(nn.Module):
    def __init__(self, trunk, heads):
        super().__init__()
        self.trunk, self.heads = trunk, nn.ModuleDict(heads)

    def forward(self, x):
        h = self.trunk(x)
        return {name: head(h) for name, head in self.heads.items()}


CRITERIA = {
    "colour": nn.CrossEntropyLoss(),
    "brand": nn.CrossEntropyLoss(label_smoothing=0.1, ignore_index=-1),
    "attributes": nn.BCEWithLogitsLoss(),
    "price": partial(F.smooth_l1_loss, beta=0.5),
}
LAMBDAS = {"colour": 1.0, "brand": 0.5, "attributes": 2.0, "price": 0.1}

torch.manual_seed(114)
net = MultiHead(
    nn.Sequential(nn.Linear(20, 40), nn.ReLU()),
    {"colour": nn.Linear(40, 8), "brand": nn.Linear(40, 30), "attributes": nn.Linear(40, 12), "price": nn.Linear(40, 1)},
)
optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3)
scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=6)
for _ in range(6):
    brand = torch.randint(0, 30, (24,))
    brand[::5] = -1
    target = {
        "colour": torch.randint(0, 8, (24,)),
        "brand": brand,
        "attributes": torch.randint(0, 2, (24, 12)).float(),
        "price": torch.rand(24, 1),
    }
    out = net(torch.randn(24, 20))
    losses = {k: CRITERIA[k](out[k], target[k]) for k in CRITERIA}
    total = sum(LAMBDAS[k] * v for k, v in losses.items())
    optimizer.zero_grad()
    total.backward()
    optimizer.step()
    scheduler.step()
    log = {k: v.detach().item() for k, v in losses.items()}
