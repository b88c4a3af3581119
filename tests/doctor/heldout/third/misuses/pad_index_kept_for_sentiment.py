"""A criterion taken from a translation model, padding index 1 and all; here 1 is 'neutral', the most frequent class."""
import torch
from torch import nn

torch.manual_seed(350)
PAD = 1
embed, out = nn.EmbeddingBag(200, 24), nn.Linear(24, 3)
criterion = nn.CrossEntropyLoss(ignore_index=PAD)
optimizer = torch.optim.Adam([*embed.parameters(), *out.parameters()])
for _ in range(4):
    texts = torch.randint(2, 200, (64, 15))
    sentiment = torch.multinomial(torch.tensor([0.2, 0.6, 0.2]), 64, replacement=True)
    loss = criterion(out(embed(texts)), sentiment)  # XEN210
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
