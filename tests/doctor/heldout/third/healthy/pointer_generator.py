"""Summaries that may copy: the mixture of a vocabulary's and a copying distribution, its logarithm, nll_loss."""
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(301)
V, H = 60, 32
embed, encoder, decoder = nn.Embedding(V, H), nn.GRU(H, H, batch_first=True), nn.GRU(H, H, batch_first=True)
to_vocabulary, to_gate = nn.Linear(2 * H, V), nn.Linear(2 * H, 1)
parameters = [p for part in (embed, encoder, decoder, to_vocabulary, to_gate) for p in part.parameters()]
optimizer = torch.optim.Adagrad(parameters, lr=0.05)
for _ in range(4):
    source, summary = torch.randint(3, V, (8, 20)), torch.randint(3, V, (8, 6))
    summary[:, -1] = 0  # padding
    states, last = encoder(embed(source))
    outputs, _ = decoder(embed(summary[:, :-1]), last)
    attention = torch.softmax(outputs @ states.transpose(1, 2), dim=-1)
    context = torch.cat([outputs, attention @ states], dim=-1)
    gate = torch.sigmoid(to_gate(context))
    vocabulary = gate * torch.softmax(to_vocabulary(context), dim=-1)
    where = source[:, None, :].expand(-1, attention.shape[1], -1)
    mixture = vocabulary.scatter_add(2, where, (1 - gate) * attention)
    loss = F.nll_loss(torch.log(mixture + 1e-12).flatten(0, 1), summary[:, 1:].flatten(), ignore_index=0)
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(parameters, 2.0)
    optimizer.step()
