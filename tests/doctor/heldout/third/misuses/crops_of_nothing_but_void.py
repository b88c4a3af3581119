"""Small crops at the border of an aerial image: some batches are void all over."""
import torch
from torch import nn

torch.manual_seed(352)
net = nn.Conv2d(3, 5, 3, padding=1)
criterion = nn.CrossEntropyLoss(ignore_index=255)
optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
for step in range(3):
    crops, labels = torch.rand(2, 3, 12, 12), torch.randint(0, 5, (2, 12, 12))
    labels[:, :, 8:] = 255
    if step == 2:
        labels[:] = 255
    loss = criterion(net(crops), labels)  # XEN305
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
