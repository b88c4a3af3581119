"""The data loader gives labels that are shifted already, and the loss is told to shift them."""
import torch
from torch import nn

import crossent

torch.manual_seed(367)
V = 60
embed, rnn, head = nn.Embedding(V, 32), nn.GRU(32, 32, batch_first=True), nn.Linear(32, V)
optimizer = torch.optim.Adam([*embed.parameters(), *rnn.parameters(), *head.parameters()])
for _ in range(3):
    text = torch.randint(0, V, (8, 25))
    inputs, labels = text[:, :-1], text[:, 1:]
    loss = crossent.cross_entropy(head(rnn(embed(inputs))[0]), labels, class_dim=2, shift=1)  # XEN602
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
