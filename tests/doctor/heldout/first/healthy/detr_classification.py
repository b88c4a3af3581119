"""DETR: (batch, queries, classes) transposed, the weight of no-object 0.1."""
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(14)
dec, cls, box = nn.TransformerDecoderLayer(32, 4, 64, 0.0, batch_first=True), nn.Linear(32, 13), nn.Linear(32, 4)
query = nn.Parameter(torch.randn(10, 32))
opt = torch.optim.AdamW([query, *dec.parameters(), *cls.parameters(), *box.parameters()])
empty_weight = torch.ones(13)
empty_weight[-1] = 0.1
for _ in range(3):
    hs = dec(query.expand(3, -1, -1), torch.randn(3, 49, 32))
    target = torch.full((3, 10), 12)
    target[:, :3] = torch.randint(0, 12, (3, 3))
    loss = F.cross_entropy(cls(hs).transpose(1, 2), target, empty_weight)
    loss = loss + F.l1_loss(box(hs).sigmoid()[:, :3], torch.rand(3, 3, 4))
    opt.zero_grad()
    loss.backward()
    opt.step()
