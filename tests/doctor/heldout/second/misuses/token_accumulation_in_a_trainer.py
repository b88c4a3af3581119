"""A Trainer that accumulates: each micro-batch's mean over its own tokens, divided by the number of micro-batches."""
import torch
from torch import nn


class Trainer:
    def __init__(self, model, accumulation=4):
        self.model, self.accumulation = model, accumulation
        self.opt = torch.optim.AdamW(model.parameters(), lr=1e-2)
        self.loss_fn = nn.CrossEntropyLoss(ignore_index=-100)

    def training_step(self, ids, labels):
        logits = self.model(ids)
        return self.loss_fn(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())  # XEN307

    def fit(self, batches):
        for i, (ids, labels) in enumerate(batches, 1):
            (self.training_step(ids, labels) / self.accumulation).backward()
            if i % self.accumulation == 0:
                self.opt.step()
                self.opt.zero_grad()


torch.manual_seed(243)
batches = []
for n in (6, 48, 50, 5, 47, 7, 4, 49):
    ids = torch.randint(0, 2 if n > 40 else 44, (2, 52))
    labels = ids.clone()
    labels[:, n:] = -100
    batches.append((ids, labels))
lm = nn.Sequential(nn.Embedding(44, 16), nn.Linear(16, 44))
with torch.no_grad():
    lm[1].bias[:2] += 2.0
Trainer(lm).fit(batches)
