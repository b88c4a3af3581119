"""A masked language model: the label of a visible token is -100, a masked one's is the token itself."""
import torch
from torch import nn

torch.manual_seed(11)
V, MASK = 80, 79
emb, enc, head = nn.Embedding(V, 32), nn.TransformerEncoderLayer(32, 4, 64, 0.0, batch_first=True), nn.Linear(32, V)
opt = torch.optim.Adam([*emb.parameters(), *enc.parameters(), *head.parameters()])
for _ in range(3):
    ids = torch.randint(3, 70, (8, 24))
    chosen = torch.rand(8, 24) < 0.15
    labels = ids.masked_fill(~chosen, -100)
    corrupted = torch.where(chosen & (torch.rand(8, 24) < 0.8), MASK, ids)
    loss = nn.functional.cross_entropy(head(enc(emb(corrupted))).view(-1, V), labels.view(-1))
    opt.zero_grad()
    loss.backward()
    opt.step()
