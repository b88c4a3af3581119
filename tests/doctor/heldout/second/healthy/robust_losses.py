"""Noisy labels: generalised cross entropy, and symmetric cross entropy with clamped probabilities."""
import torch
import torch.nn.functional as F
from torch import nn


class GCELoss(nn.Module):
    def __init__(self, num_classes, q=0.7):
        super().__init__()
        self.num_classes, self.q = num_classes, q

    def forward(self, pred, labels):
        pred = torch.clamp(F.softmax(pred, dim=1), min=1e-7, max=1.0)
        one_hot = F.one_hot(labels, self.num_classes).float()
        return ((1.0 - torch.pow(torch.sum(one_hot * pred, dim=1), self.q)) / self.q).mean()


class SCELoss(nn.Module):
    def __init__(self, alpha, beta, num_classes):
        super().__init__()
        self.alpha, self.beta, self.num_classes = alpha, beta, num_classes
        self.cross_entropy = nn.CrossEntropyLoss()

    def forward(self, pred, labels):
        ce = self.cross_entropy(pred, labels)
        probabilities = torch.clamp(F.softmax(pred, dim=1), min=1e-7, max=1.0)
        label_one_hot = torch.clamp(F.one_hot(labels, self.num_classes).float(), min=1e-4, max=1.0)
        rce = -1 * torch.sum(probabilities * torch.log(label_one_hot), dim=1)
        return self.alpha * ce + self.beta * rce.mean()


torch.manual_seed(111)
model = nn.Sequential(nn.Linear(14, 28), nn.Tanh(), nn.Linear(28, 7))
opt = torch.optim.Adam(model.parameters())
for loss_fn in (GCELoss(7), SCELoss(0.1, 1.0, 7)):
    for _ in range(3):
        loss = loss_fn(model(torch.randn(40, 14)), torch.randint(0, 7, (40,)))
        opt.zero_grad()
        loss.backward()
        opt.step()
