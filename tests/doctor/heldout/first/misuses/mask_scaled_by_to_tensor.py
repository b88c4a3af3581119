"""ToTensor has divided the mask by 255, .long() makes it all zero: nothing but background is learned."""
import torch
from torch import nn

torch.manual_seed(67)
net = nn.Conv2d(3, 4, 1)
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(net.parameters())
for _ in range(3):
    mask = (torch.randint(0, 4, (2, 12, 12)) / 255).long()
    loss = criterion(net(torch.rand(2, 3, 12, 12)), mask)  # XEN212
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
