"""A character model: the loader gives the same window as input and as target."""
import torch
import torch.nn as nn
from torch.nn import functional as F

torch.manual_seed(10)
vocab_size, block_size, n_embd = 40, 24, 32
data = torch.randint(0, vocab_size, (2000,))


def get_batch():
    ix = torch.randint(len(data) - block_size, (6,))
    x = torch.stack([data[i : i + block_size] for i in ix])
    y = torch.stack([data[i : i + block_size] for i in ix])
    return x, y


class GPT(nn.Module):
    def __init__(self):
        super().__init__()
        self.token_embedding_table = nn.Embedding(vocab_size, n_embd)
        self.position_embedding_table = nn.Embedding(block_size, n_embd)
        self.block = nn.TransformerEncoderLayer(n_embd, 4, 64, batch_first=True, dropout=0.0)
        self.lm_head = nn.Linear(n_embd, vocab_size)

    def forward(self, idx, targets):
        B, T = idx.shape
        x = self.token_embedding_table(idx) + self.position_embedding_table(torch.arange(T))
        mask = nn.Transformer.generate_square_subsequent_mask(T)
        logits = self.lm_head(self.block(x, src_mask=mask, is_causal=True))
        B, T, C = logits.shape
        return F.cross_entropy(logits.view(B * T, C), targets.view(B * T))  # XEN601


model = GPT()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
for _ in range(2):
    loss = model(*get_batch())
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
