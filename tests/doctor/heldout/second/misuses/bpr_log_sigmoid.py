"""Bayesian personalised ranking, as every recommender repository writes it: -log(sigmoid(pos - neg))."""
import torch
from torch import nn


class BPRMF(nn.Module):
    def __init__(self, users, items, dim=16):
        super().__init__()
        self.user, self.item = nn.Embedding(users, dim), nn.Embedding(items, dim)

    def bpr_loss(self, u, i, j):
        u, i, j = self.user(u), self.item(i), self.item(j)
        pos_scores, neg_scores = (u * i).sum(1), (u * j).sum(1)
        return -torch.log(torch.sigmoid(pos_scores - neg_scores)).mean()


torch.manual_seed(218)
model = BPRMF(40, 90)
opt = torch.optim.Adam(model.parameters(), lr=1e-3)
for _ in range(2):
    loss = model.bpr_loss(torch.randint(0, 40, (64,)), torch.randint(0, 90, (64,)), torch.randint(0, 90, (64,)))
    opt.zero_grad()
    loss.backward()  # XEN112
    opt.step()
