"""Multi-label comments: sigmoid in forward for the threshold at 0.5, and BCEWithLogitsLoss with pos_weight."""
import torch
from torch import nn


class Comments(nn.Module):
    def __init__(self):
        super().__init__()
        self.bag, self.out = nn.EmbeddingBag(300, 32), nn.Linear(32, 6)

    def forward(self, ids):
        return self.out(self.bag(ids)).sigmoid()


torch.manual_seed(337)
net = Comments()
criterion = nn.BCEWithLogitsLoss(pos_weight=torch.full((6,), 8.0))
optimizer = torch.optim.Adam(net.parameters())
for _ in range(3):
    predicted = net(torch.randint(0, 300, (32, 20)))
    labels = (torch.rand(32, 6) < 0.1).float()
    loss = criterion(predicted.view(-1, 6), labels)  # XEN106
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    hits = ((predicted > 0.5) == labels.bool()).float().mean()
