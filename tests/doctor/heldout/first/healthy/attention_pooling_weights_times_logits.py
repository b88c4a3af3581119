"""Logits weighted by a softmax over time: no probabilities of classes."""
import torch
from torch import nn

torch.manual_seed(24)
rnn, att, out = nn.GRU(8, 16, batch_first=True), nn.Linear(16, 1), nn.Linear(16, 4)
opt = torch.optim.Adam([*rnn.parameters(), *att.parameters(), *out.parameters()])
for _ in range(3):
    h, _ = rnn(torch.randn(20, 9, 8))
    a = torch.softmax(att(h), dim=1)
    loss = nn.functional.cross_entropy((a * out(h)).sum(1), torch.randint(0, 4, (20,)))
    opt.zero_grad()
    loss.backward()
    opt.step()
