"""A language model that fills masks: no shift, every masked token's loss divided by the share that was masked."""
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(305)
V, MASK = 64, 63
embed, head = nn.Embedding(V, 32), nn.Linear(32, V)
mixer = nn.TransformerEncoder(nn.TransformerEncoderLayer(32, 4, 64, batch_first=True), 1)
nn.init.normal_(embed.weight, std=0.02)
optimizer = torch.optim.AdamW([*embed.parameters(), *mixer.parameters(), *head.parameters()], lr=1e-3)
for _ in range(4):
    ids = torch.randint(0, MASK, (8, 24))
    share = (torch.rand(8, 1) * 0.9 + 0.1).expand_as(ids)
    is_masked = torch.rand(8, 24) < share
    logits = head(mixer(embed(torch.where(is_masked, MASK, ids))))
    losses = F.cross_entropy(logits[is_masked], ids[is_masked], reduction="none") / share[is_masked]
    loss = losses.sum() / ids.numel()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
