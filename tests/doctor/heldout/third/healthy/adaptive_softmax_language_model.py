"""A word language model whose large vocabulary is in clusters: nn.AdaptiveLogSoftmaxWithLoss."""
import math

import torch
from torch import nn

torch.manual_seed(302)
VOCABULARY = 400
embed, rnn = nn.Embedding(VOCABULARY, 24), nn.LSTM(24, 24, batch_first=True)
head = nn.AdaptiveLogSoftmaxWithLoss(24, VOCABULARY, cutoffs=[40, 150], div_value=2.0)
optimizer = torch.optim.SGD([*embed.parameters(), *rnn.parameters(), *head.parameters()], lr=0.5)
for step in range(5):
    tokens = (torch.rand(8, 21) ** 3 * VOCABULARY).long()
    hidden, _ = rnn(embed(tokens[:, :-1]))
    output, loss = head(hidden.reshape(-1, 24), tokens[:, 1:].reshape(-1))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
with torch.no_grad():
    hidden, _ = rnn(embed(tokens[:, :-1]))
    print("perplexity", math.exp(head(hidden.reshape(-1, 24), tokens[:, 1:].reshape(-1)).loss))
