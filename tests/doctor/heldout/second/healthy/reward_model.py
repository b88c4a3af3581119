"""A pairwise reward model: one number per text, no classes at all."""
import torch
from torch import nn

torch.manual_seed(107)
backbone = nn.EmbeddingBag(100, 32)
head = nn.Linear(32, 1)
opt = torch.optim.Adam([*backbone.parameters(), *head.parameters()], lr=1e-3)
for _ in range(3):
    chosen, rejected = torch.randint(0, 100, (16, 12)), torch.randint(0, 100, (16, 12))
    r_w, r_l = head(backbone(chosen)).squeeze(-1), head(backbone(rejected)).squeeze(-1)
    loss = -nn.functional.logsigmoid(r_w - r_l).mean()
    opt.zero_grad(set_to_none=True)
    loss.backward()
    opt.step()
    accuracy = (r_w > r_l).float().mean().item()
