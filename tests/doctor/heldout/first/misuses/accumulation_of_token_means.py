"""Gradient accumulation over texts of very different lengths."""
import torch
from torch import nn

torch.manual_seed(44)
vocab, accum = 40, 4
model = nn.Sequential(nn.Embedding(vocab, 16), nn.Linear(16, vocab))
criterion = nn.CrossEntropyLoss(ignore_index=-100)
optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
lengths = [4, 60, 7, 45, 52, 5, 30, 3]
for step, n in enumerate(lengths):
    ids = torch.randint(0, 3 if n > 40 else vocab, (1, 64))
    labels = torch.cat([ids[:, 1:], torch.full((1, 1), -100)], dim=1)
    labels[:, n:] = -100
    loss = criterion(model(ids).view(-1, vocab), labels.view(-1)) / accum  # XEN307
    loss.backward()
    if (step + 1) % accum == 0:
        optimizer.step()
        optimizer.zero_grad()
