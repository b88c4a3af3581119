"""Ordinal regression (CORAL): K - 1 binary questions 'is it more than k?' from one score and K - 1 biases."""
import torch
import torch.nn.functional as F
from torch import nn

NUM_CLASSES = 6


class Coral(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Linear(9, 32), nn.ReLU())
        self.score = nn.Linear(32, 1, bias=False)
        self.biases = nn.Parameter(torch.arange(NUM_CLASSES - 1, 0, -1).float() / (NUM_CLASSES - 1))

    def forward(self, x):
        return self.score(self.features(x)) + self.biases


def levels_from_labels(labels):
    return (labels.unsqueeze(1) > torch.arange(NUM_CLASSES - 1)).float()


torch.manual_seed(109)
model = Coral()
opt = torch.optim.Adam(model.parameters(), lr=5e-3)
for _ in range(4):
    x, y = torch.randn(32, 9), torch.randint(0, NUM_CLASSES, (32,))
    loss = F.binary_cross_entropy_with_logits(model(x), levels_from_labels(y))
    opt.zero_grad()
    loss.backward()
    opt.step()
    predicted = (torch.sigmoid(model(x)) > 0.5).sum(1)
    mae = (predicted - y).abs().float().mean()
