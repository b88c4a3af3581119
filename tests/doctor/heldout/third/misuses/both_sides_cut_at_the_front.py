"""Logits and labels both lose their first position: what is left is not shifted."""
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(366)
V = 60
embed, rnn, head = nn.Embedding(V, 32), nn.LSTM(32, 32, batch_first=True), nn.Linear(32, V)
optimizer = torch.optim.Adam([*embed.parameters(), *rnn.parameters(), *head.parameters()])
for _ in range(3):
    ids = torch.randint(0, V, (8, 24))
    logits = head(rnn(embed(ids))[0])
    loss = F.cross_entropy(logits[:, 1:].reshape(-1, V), ids[:, 1:].reshape(-1))  # XEN601
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
