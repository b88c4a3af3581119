"""Stars from 1 to 5 are numbers: a recommender regresses them."""
import torch
from torch import nn

torch.manual_seed(21)
user, item = nn.Embedding(40, 8), nn.Embedding(60, 8)
opt, criterion = torch.optim.Adam([*user.parameters(), *item.parameters()]), nn.MSELoss()
for _ in range(3):
    u, i, stars = torch.randint(0, 40, (128,)), torch.randint(0, 60, (128,)), torch.randint(1, 6, (128,)).float()
    loss = criterion((user(u) * item(i)).sum(1) + 3.0, stars)
    opt.zero_grad()
    loss.backward()
    opt.step()
