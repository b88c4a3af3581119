"""Image and mask are rotated together by grid_sample, whose default mixes neighbours."""
import math

import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(370)
net = nn.Conv2d(3, 12, 3, padding=1)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for _ in range(3):
    image, mask = torch.rand(2, 3, 24, 24), torch.zeros(2, 1, 24, 24)
    mask[:, :, 4:14, 6:20], mask[:, :, 12:22, 2:12] = 11, 5
    angle = 0.3 * torch.randn(())
    turn = torch.tensor([[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0]])
    grid = F.affine_grid(turn.expand(2, 2, 3), list(image.shape), align_corners=False)
    image, mask = (F.grid_sample(what, grid, align_corners=False) for what in (image, mask))
    loss = F.cross_entropy(net(image), mask.long().squeeze(1))  # XEN703
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
