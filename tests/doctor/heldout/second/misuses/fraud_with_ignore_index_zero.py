"""ignore_index=0 copied from a translation script into a fraud detector, where 0 means honest."""
import torch
from torch import nn

torch.manual_seed(230)
classifier = nn.Sequential(nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 2))
criterion = nn.CrossEntropyLoss(ignore_index=0)
optimizer = torch.optim.Adam(classifier.parameters())
for _ in range(4):
    features, fraud = torch.randn(128, 10), (torch.rand(128) < 0.3).long()
    loss = criterion(classifier(features), fraud)  # XEN210
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
