"""Tabular multi-class with a habit from binary problems: nn.Sigmoid at the end, CrossEntropyLoss."""
import torch
from torch import nn


class TabularModel(nn.Module):
    def __init__(self, n_cont, sizes, n_out, layers=(64, 32), p=0.3):
        super().__init__()
        self.embeds = nn.ModuleList([nn.Embedding(n, d) for n, d in sizes])
        self.bn, self.drop = nn.BatchNorm1d(n_cont), nn.Dropout(p)
        width, stack = n_cont + sum(d for _, d in sizes), []
        for n in layers:
            stack += [nn.Linear(width, n), nn.ReLU(inplace=True), nn.BatchNorm1d(n), nn.Dropout(p)]
            width = n
        self.layers = nn.Sequential(*stack, nn.Linear(width, n_out), nn.Sigmoid())

    def forward(self, cat, cont):
        e = torch.cat([emb(cat[:, i]) for i, emb in enumerate(self.embeds)], 1)
        return self.layers(torch.cat([self.drop(e), self.bn(cont)], 1))


torch.manual_seed(209)
model = TabularModel(4, [(10, 5), (7, 4)], 5)
criterion, optimizer = nn.CrossEntropyLoss(), torch.optim.Adam(model.parameters(), lr=1e-3)
for i in range(3):
    y_pred = model(torch.randint(0, 7, (40, 2)), torch.randn(40, 4))
    loss = criterion(y_pred, torch.randint(0, 5, (40,)))  # XEN105
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
