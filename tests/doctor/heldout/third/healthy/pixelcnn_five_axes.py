"""Pixels as classes: logits (N, 256, C, H, W) and the image itself as the target, behind masked convolutions."""
import torch
import torch.nn.functional as F
from torch import nn


class Masked(nn.Conv2d):
    def __init__(self, kind, *args, **kwargs):
        super().__init__(*args, **kwargs)
        mask = torch.zeros_like(self.weight)
        mask[:, :, : mask.shape[2] // 2] = 1
        mask[:, :, mask.shape[2] // 2, : mask.shape[3] // 2 + (kind == "B")] = 1
        self.register_buffer("mask", mask)

    def forward(self, x):
        return F.conv2d(x, self.weight * self.mask, self.bias, padding=self.padding)


torch.manual_seed(313)
net = nn.Sequential(Masked("A", 1, 16, 5, padding=2), nn.ReLU(), Masked("B", 16, 32, 3, padding=1), nn.ReLU(),
                    nn.Conv2d(32, 256, 1))
optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
for _ in range(3):
    image = (torch.rand(4, 1, 10, 10) * 256).long()
    logits = net(image.float() / 255).view(4, 256, 1, 10, 10)
    loss = F.cross_entropy(logits, image)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
