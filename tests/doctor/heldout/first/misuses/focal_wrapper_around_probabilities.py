"""A focal loss that calls cross_entropy on probabilities."""
import torch
import torch.nn as nn
import torch.nn.functional as F


class FocalLoss(nn.Module):
    def __init__(self, gamma=2.0):
        super().__init__()
        self.gamma = gamma

    def forward(self, inputs, targets):
        probs = F.softmax(inputs, dim=1)
        ce_loss = F.cross_entropy(probs, targets, reduction="none")  # XEN101
        pt = torch.exp(-ce_loss)
        return ((1 - pt) ** self.gamma * ce_loss).mean()


torch.manual_seed(5)
backbone = nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 6))
focal = FocalLoss()
optim = torch.optim.AdamW(backbone.parameters())
for _ in range(2):
    batch, label = torch.randn(20, 12), torch.randint(0, 6, (20,))
    optim.zero_grad()
    focal(backbone(batch), label).backward()
    optim.step()
