"""Skip-gram with negative samples: logsigmoid, no softmax at all."""
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(18)
u, v = nn.Embedding(300, 16), nn.Embedding(300, 16)
nn.init.zeros_(v.weight)
opt = torch.optim.Adam([*u.parameters(), *v.parameters()])
for _ in range(3):
    centre, context, noise = torch.randint(0, 300, (32,)), torch.randint(0, 300, (32,)), torch.randint(0, 300, (32, 5))
    e = u(centre)
    positive = F.logsigmoid((e * v(context)).sum(1))
    negative = F.logsigmoid(-(v(noise) @ e.unsqueeze(2)).squeeze(2)).sum(1)
    loss = -(positive + negative).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
