"""Matrix factorisation: sigmoid in forward and BCEWithLogitsLoss outside."""
import torch
import torch.nn as nn

torch.manual_seed(18)


class MF(nn.Module):
    def __init__(self):
        super().__init__()
        self.user, self.item = nn.Embedding(50, 8), nn.Embedding(80, 8)

    def forward(self, u, i):
        return torch.sigmoid((self.user(u) * self.item(i)).sum(-1))


model = MF()
criterion = nn.BCEWithLogitsLoss(reduction="sum")
optimizer = torch.optim.Adam(model.parameters())
for _ in range(2):
    u, i = torch.randint(0, 50, (128,)), torch.randint(0, 80, (128,))
    label = torch.randint(0, 2, (128,)).float()
    pred = model(u, i)
    loss = criterion(pred, label)  # XEN106
    model.zero_grad()
    loss.backward()
    optimizer.step()
