"""A variational autoencoder: BCE of the pixels, summed, and the KL term."""
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(3)
enc, mu, logvar, dec = nn.Linear(64, 32), nn.Linear(32, 4), nn.Linear(32, 4), nn.Linear(4, 64)
params = [p for m in (enc, mu, logvar, dec) for p in m.parameters()]
opt = torch.optim.Adam(params)
for _ in range(3):
    x = torch.rand(16, 64)
    h = torch.relu(enc(x))
    m, lv = mu(h), logvar(h)
    recon = torch.sigmoid(dec(m + torch.randn_like(m) * torch.exp(0.5 * lv)))
    loss = F.binary_cross_entropy(recon, x, reduction="sum") - 0.5 * torch.sum(1 + lv - m.pow(2) - lv.exp())
    opt.zero_grad()
    loss.backward()
    opt.step()
