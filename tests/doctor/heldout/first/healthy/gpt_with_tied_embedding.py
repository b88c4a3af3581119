"""A small GPT, tied embedding of standard deviation 0.02, gradient accumulation of equal batches."""
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(30)
V, T = 64, 16
wte, wpe, ln = nn.Embedding(V, 32), nn.Embedding(T, 32), nn.LayerNorm(32)
nn.init.normal_(wte.weight, std=0.02)
block = nn.TransformerEncoderLayer(32, 4, 64, 0.0, batch_first=True, norm_first=True)
opt = torch.optim.AdamW([*wte.parameters(), *wpe.parameters(), *ln.parameters(), *block.parameters()])
data = torch.randint(0, V, (1000,))
for _ in range(3):
    for _ in range(4):
        ix = torch.randint(0, 1000 - T - 1, (8,))
        x = torch.stack([data[i : i + T] for i in ix])
        y = torch.stack([data[i + 1 : i + 1 + T] for i in ix])
        h = block(wte(x) + wpe.weight, src_mask=nn.Transformer.generate_square_subsequent_mask(T), is_causal=True)
        logits = F.linear(ln(h), wte.weight)
        loss = F.cross_entropy(logits.view(-1, V), y.view(-1)) / 4
        loss.backward()
    opt.step()
    opt.zero_grad()
