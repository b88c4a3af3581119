"""A dataset of blocks whose y is the same slice as x."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset


class Blocks(Dataset):
    def __init__(self, data, block):
        self.data, self.block = data, block

    def __len__(self):
        return len(self.data) // self.block

    def __getitem__(self, i):
        chunk = self.data[i * self.block : (i + 1) * self.block]
        return {"input_ids": chunk, "labels": chunk.clone()}


class GPT(nn.Module):
    def __init__(self, vocab=65, dim=32, block=32):
        super().__init__()
        self.tok, self.pos = nn.Embedding(vocab, dim), nn.Parameter(torch.zeros(1, block, dim))
        layer = nn.TransformerEncoderLayer(dim, 4, 64, dropout=0.0, batch_first=True, norm_first=True)
        self.blocks, self.ln_f, self.head = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), nn.LayerNorm(dim), nn.Linear(dim, vocab)

    def forward(self, input_ids, labels):
        t = input_ids.size(1)
        mask = nn.Transformer.generate_square_subsequent_mask(t)
        h = self.blocks(self.tok(input_ids) + self.pos[:, :t], mask=mask, is_causal=True)
        logits = self.head(self.ln_f(h))
        loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten())  # XEN601
        return logits, loss


torch.manual_seed(241)
loader = DataLoader(Blocks(torch.randint(0, 65, (640,)), 32), batch_size=4, shuffle=True)
gpt = GPT()
optimizer = torch.optim.AdamW(gpt.parameters(), lr=1e-3)
for batch in loader:
    _, loss = gpt(**batch)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
