"""The output layer is the embedding, whose numbers are N(0, 1): the first loss is far above ln V."""
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(361)
V, H = 500, 128
embed, rnn, norm, head = nn.Embedding(V, H), nn.GRU(H, H, batch_first=True), nn.LayerNorm(H), nn.Linear(H, V, bias=False)
head.weight = embed.weight
optimizer = torch.optim.AdamW([*rnn.parameters(), *embed.parameters()], lr=1e-3)
for _ in range(3):
    ids = torch.randint(0, V, (8, 33))
    logits = head(norm(rnn(embed(ids[:, :-1]))[0]))
    loss = F.cross_entropy(logits.transpose(1, 2), ids[:, 1:])  # XEN411
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
