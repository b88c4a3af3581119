"""Four endings of a story through one model: a head with one output, whose numbers become the four logits."""
import torch
from torch import nn

torch.manual_seed(321)
embed, body, head = nn.Embedding(80, 16), nn.GRU(16, 32, batch_first=True), nn.Linear(32, 1)
optimizer = torch.optim.Adam([*embed.parameters(), *body.parameters(), *head.parameters()], lr=1e-3)
for _ in range(4):
    ids, right = torch.randint(0, 80, (6, 4, 15)), torch.randint(0, 4, (6,))
    _, last = body(embed(ids.view(-1, 15)))
    logits = head(last[0]).view(-1, 4)
    loss = nn.CrossEntropyLoss()(logits, right)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
