"""A mask resized with the default of a transform for images."""
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(60)
net = nn.Conv2d(3, 8, 1)
mask = torch.randint(0, 8, (2, 1, 10, 10)).float()
mask = F.interpolate(mask, size=(16, 16), mode="bilinear", align_corners=False).squeeze(1)
loss = F.cross_entropy(net(torch.randn(2, 3, 16, 16)), mask)  # XEN703
