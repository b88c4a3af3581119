"""ELECTRA: a masked language model generates, a binary head says which tokens were replaced."""
import torch
import torch.nn.functional as F
from torch import nn

PAD, MASK, VOCAB = 0, 1, 80


def mask_tokens(ids, prob=0.25):
    labels = ids.clone()
    chosen = (torch.rand(ids.shape) < prob) & (ids != PAD)
    chosen[:, 1] = True
    labels[~chosen] = -100
    return ids.masked_fill(chosen, MASK), labels


torch.manual_seed(113)
embed = nn.Embedding(VOCAB, 32, padding_idx=PAD)
generator = nn.Sequential(nn.Linear(32, 32), nn.GELU(), nn.Linear(32, VOCAB))
discriminator = nn.Sequential(nn.Linear(32, 32), nn.GELU(), nn.Linear(32, 1))
params = [*embed.parameters(), *generator.parameters(), *discriminator.parameters()]
opt = torch.optim.AdamW(params, lr=1e-3)
for _ in range(4):
    ids = torch.randint(2, VOCAB, (6, 24))
    ids[2:, 15:] = PAD
    masked, labels = mask_tokens(ids)
    mlm_logits = generator(embed(masked))
    mlm_loss = F.cross_entropy(mlm_logits.transpose(1, 2), labels)
    with torch.no_grad():
        sampled = torch.distributions.Categorical(logits=mlm_logits).sample()
    corrupted = torch.where(labels != -100, sampled, ids)
    is_replaced = (corrupted != ids).float()
    active = ids != PAD
    disc_logits = discriminator(embed(corrupted)).squeeze(-1)
    disc_loss = F.binary_cross_entropy_with_logits(disc_logits[active], is_replaced[active])
    loss = mlm_loss + 50.0 * disc_loss
    opt.zero_grad()
    loss.backward()
    opt.step()
