"""Losses without reduction, zero at the padding, and then the mean of all of them."""
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(356)
embed, rnn, out = nn.Embedding(70, 24, padding_idx=0), nn.GRU(24, 24, batch_first=True), nn.Linear(24, 70)
optimizer = torch.optim.Adam([*embed.parameters(), *rnn.parameters(), *out.parameters()])
for _ in range(3):
    lengths, ids = torch.randint(4, 20, (8,)), torch.randint(1, 70, (8, 20))
    ids[torch.arange(20) >= lengths[:, None]] = 0
    logits, labels = out(rnn(embed(ids[:, :-1]))[0]), ids[:, 1:]
    optimizer.zero_grad()
    F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=0, reduction="none").mean().backward()  # XEN402
    optimizer.step()
