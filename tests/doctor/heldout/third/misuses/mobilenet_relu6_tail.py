"""The last block is the same ConvBNReLU6 as all others, pooled to the classes: no logit below 0 or above 6."""
import torch
from torch import nn


def block(i, o, stride=1):
    return nn.Sequential(nn.Conv2d(i, o, 3, stride, 1, bias=False), nn.BatchNorm2d(o), nn.ReLU6(inplace=True))


torch.manual_seed(331)
features = nn.Sequential(block(3, 16, 2), block(16, 32, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten())
classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(32, 10), nn.ReLU6())
optimizer = torch.optim.SGD([*features.parameters(), *classifier.parameters()], lr=0.05, momentum=0.9)
for _ in range(4):
    loss = nn.functional.cross_entropy(classifier(features(torch.rand(16, 3, 16, 16))), torch.randint(0, 10, (16,)))  # XEN108
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
