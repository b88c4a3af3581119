"""Two towers for recommendation: the item itself in the first column, sampled ones behind, corrected by log q."""
import torch
from torch import nn

torch.manual_seed(303)
ITEMS, NEGATIVES = 500, 31
users, items = nn.Embedding(200, 16), nn.Embedding(ITEMS, 16)
popularity = torch.rand(ITEMS) ** 2 + 1e-3
popularity /= popularity.sum()
optimizer = torch.optim.Adam([*users.parameters(), *items.parameters()], lr=1e-2)
criterion = nn.CrossEntropyLoss()
for _ in range(5):
    who, what = torch.randint(0, 200, (64,)), torch.multinomial(popularity, 64, replacement=True)
    sampled = torch.multinomial(popularity, NEGATIVES, replacement=True)
    user = nn.functional.normalize(users(who), dim=1)
    positive = (user * nn.functional.normalize(items(what), dim=1)).sum(1, keepdim=True) - popularity[what, None].log()
    negative = user @ nn.functional.normalize(items(sampled), dim=1).T - popularity[sampled].log()
    logits = torch.cat([positive, negative], dim=1)
    loss = criterion(logits, torch.zeros(len(who), dtype=torch.long))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
