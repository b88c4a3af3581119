"""VAT: the distribution at the clean point is a constant, the direction comes from a power iteration."""
import contextlib

import torch
from torch import nn
from torch.nn import functional as F


@contextlib.contextmanager
def frozen_batch_norm(model):
    yield


class VATLoss(nn.Module):
    def __init__(self, xi=10.0, eps=1.0, ip=1):
        super().__init__()
        self.xi, self.eps, self.ip = xi, eps, ip

    def forward(self, model, x):
        with torch.no_grad():
            pred = F.softmax(model(x), dim=1)
        d = F.normalize(torch.rand_like(x).sub(0.5), dim=1)
        with frozen_batch_norm(model):
            for _ in range(self.ip):
                d.requires_grad_()
                logp_hat = F.log_softmax(model(x + self.xi * d), dim=1)
                adv_distance = F.kl_div(logp_hat, pred, reduction="batchmean")
                adv_distance.backward()
                d = F.normalize(d.grad, dim=1)
                model.zero_grad()
            logp_hat = F.log_softmax(model(x + d * self.eps), dim=1)
            return F.kl_div(logp_hat, pred, reduction="batchmean")


torch.manual_seed(102)
model = nn.Sequential(nn.Linear(12, 24), nn.LeakyReLU(0.1), nn.Linear(24, 4))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
vat, cross_entropy = VATLoss(), nn.CrossEntropyLoss()
for _ in range(4):
    x_l, y_l, x_ul = torch.randn(8, 12), torch.randint(0, 4, (8,)), torch.randn(24, 12)
    lds = vat(model, x_ul)
    loss = cross_entropy(model(x_l), y_l) + 1.0 * lds
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
