"""SigLIP: every pair is a binary problem; a learned bias starts at -10."""
import math

import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(105)
image_tower, text_tower = nn.Linear(32, 16), nn.Linear(24, 16)
t_prime, b = nn.Parameter(torch.tensor(math.log(10.0))), nn.Parameter(torch.tensor(-10.0))
optimizer = torch.optim.AdamW([*image_tower.parameters(), *text_tower.parameters(), t_prime, b], lr=1e-3)


def sigmoid_loss(img_emb, txt_emb):
    n = len(img_emb)
    zimg, ztxt = F.normalize(img_emb, dim=-1), F.normalize(txt_emb, dim=-1)
    logits = zimg @ ztxt.T * t_prime.exp() + b
    labels = 2 * torch.eye(n) - torch.ones(n)
    return -F.logsigmoid(labels * logits).sum() / n


for _ in range(3):
    loss = sigmoid_loss(image_tower(torch.randn(16, 32)), text_tower(torch.randn(16, 24)))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
