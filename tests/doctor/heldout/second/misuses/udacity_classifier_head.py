"""A pretrained network gets nn.LogSoftmax at its end, as in the course; the criterion is CrossEntropyLoss."""
from collections import OrderedDict

import torch
from torch import nn, optim

torch.manual_seed(205)
backbone = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten())
for param in backbone.parameters():
    param.requires_grad = False
classifier = nn.Sequential(
    OrderedDict(
        [("fc1", nn.Linear(32, 50)), ("relu", nn.ReLU()), ("fc2", nn.Linear(50, 20)), ("output", nn.LogSoftmax(dim=1))]
    )
)
model = nn.Sequential(backbone, classifier)
criterion, optimizer = nn.CrossEntropyLoss(), optim.Adam(classifier.parameters(), lr=0.001)
for images, labels in [(torch.randn(8, 3, 10, 10), torch.randint(0, 20, (8,))) for _ in range(2)]:
    optimizer.zero_grad()
    logps = model.forward(images)
    loss = criterion(logps, labels)  # XEN102
    loss.backward()
    optimizer.step()
