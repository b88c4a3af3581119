"""A binary U-Net has one output channel, the loss is nn.CrossEntropyLoss, the masks are 0 and 1."""
import torch
from torch import nn

torch.manual_seed(213)
unet = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 1, 1))
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.RMSprop(unet.parameters(), lr=1e-5)
for imgs, true_masks in [(torch.rand(2, 3, 16, 16), torch.randint(0, 2, (2, 1, 16, 16)))]:
    masks_pred = unet(imgs)
    loss = criterion(masks_pred, true_masks.float())  # XEN109
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
