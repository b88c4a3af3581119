"""Segmentation with auxiliary heads; masks are made smaller with nearest neighbours; 255 is void."""
import torch
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self, classes=7):
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 3, stride=2, padding=1)
        self.deep = nn.Conv2d(12, 24, 3, stride=2, padding=1)
        self.aux, self.main = nn.Conv2d(12, classes, 1), nn.Conv2d(24, classes, 1)

    def forward(self, x):
        a = F.relu(self.stem(x))
        b = F.relu(self.deep(a))
        up = F.interpolate(self.main(b), size=x.shape[-2:], mode="bilinear", align_corners=False)
        return up, self.aux(a)


def shrink(mask, size):
    return F.interpolate(mask[:, None].float(), size=size, mode="nearest")[:, 0].long()


torch.manual_seed(117)
net = Net()
criterion = nn.CrossEntropyLoss(ignore_index=255)
optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
for _ in range(3):
    image, mask = torch.rand(2, 3, 24, 24), torch.randint(0, 7, (2, 24, 24))
    mask[:, :2] = 255
    main, aux = net(image)
    loss = criterion(main, mask) + 0.4 * criterion(aux, shrink(mask, aux.shape[-2:]))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
