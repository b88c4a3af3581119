"""Truncation has cut every answer: all labels are -100."""
import torch
from torch import nn

torch.manual_seed(42)
embed, head = nn.Embedding(70, 16), nn.Linear(16, 70)
ids = torch.randint(0, 70, (2, 12))
labels = ids.clone()
prompt_lengths = [12, 12]
for row, n in enumerate(prompt_lengths):
    labels[row, :n] = -100
logits = head(embed(ids))
loss = nn.functional.cross_entropy(logits[:, :-1].reshape(-1, 70), labels[:, 1:].reshape(-1))  # XEN305
loss.backward()
