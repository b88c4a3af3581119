"""Thresholded predictions into BCELoss: it trains for hours and nothing changes."""
import torch
import torch.nn as nn

torch.manual_seed(20)
classifier = nn.Sequential(nn.Linear(20, 8), nn.ReLU(), nn.Linear(8, 1), nn.Sigmoid())
criterion = nn.BCELoss()
optimizer = torch.optim.Adam(classifier.parameters())
for _ in range(2):
    features, labels = torch.randn(40, 20), torch.randint(0, 2, (40, 1)).float()
    y_pred_tag = torch.round(classifier(features))
    loss = criterion(y_pred_tag, labels)  # XEN110
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
