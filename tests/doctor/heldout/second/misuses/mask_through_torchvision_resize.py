"""One transform for image and mask: bilinear, then back to integers. Borders get classes that are not there."""
import torch
import torch.nn.functional as F
from torch import nn


def transform(image, mask, size=(20, 20)):
    image = F.interpolate(image, size=size, mode="bilinear", align_corners=False)
    mask = F.interpolate(mask.float(), size=size, mode="bilinear", align_corners=False)
    return image, mask.long().squeeze(1)


torch.manual_seed(246)
net, criterion = nn.Conv2d(3, 21, 1), nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(net.parameters())
for _ in range(3):
    mask = torch.zeros(2, 1, 32, 32, dtype=torch.long)
    mask[:, :, 6:20, 6:20], mask[:, :, 16:28, 18:30] = 15, 8
    image, mask = transform(torch.rand(2, 3, 32, 32), mask)
    loss = criterion(net(image), mask)  # XEN703
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
