"""A language model whose variable is called logits and holds probabilities."""
import torch
from torch import nn
from torch.nn import functional as F

V, D = 65, 32


class SimpleBrokenModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(V, D)
        self.linear = nn.Sequential(nn.Linear(D, D), nn.ReLU(), nn.Linear(D, V))

    def forward(self, idx, targets=None):
        x = self.embedding(idx)
        a = self.linear(x)
        logits = F.softmax(a, dim=-1)
        if targets is not None:
            loss = F.cross_entropy(logits.view(-1, V), targets.view(-1))  # XEN101
            return logits, loss
        return logits


torch.manual_seed(4)
data = torch.randint(0, V, (500,))
model = SimpleBrokenModel()
optimizer = torch.optim.Adam(model.parameters())
for step in range(3):
    ix = torch.randint(0, 500 - 17, (8,))
    xs = torch.stack([data[i : i + 16] for i in ix])
    ys = torch.stack([data[i + 1 : i + 17] for i in ix])
    logits, loss = model(xs, targets=ys)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
