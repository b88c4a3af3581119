"""Perplexity of a padded validation set: exp of the mean over batches of means over tokens."""
import math

import torch
import torch.nn as nn

torch.manual_seed(234)
PAD, V = 0, 50
model = nn.Sequential(nn.Embedding(V, 16, padding_idx=PAD), nn.Linear(16, V))
criterion = nn.CrossEntropyLoss(ignore_index=PAD)


def evaluate(batches):
    model.eval()
    total_loss = 0.0
    with torch.no_grad():
        for src, trg in batches:
            output = model(src)
            total_loss += criterion(output.reshape(-1, V), trg.reshape(-1)).item()  # XEN309
    return math.exp(total_loss / len(batches))


def batch(length, easy):
    tokens = torch.randint(1, V, (8, 30))
    if easy:
        tokens[:] = 7
    tokens[:, length:] = PAD
    return tokens[:, :-1], tokens[:, 1:]


with torch.no_grad():
    model[1].bias[7] += 3.0
print(evaluate([batch(29, True), batch(4, False), batch(28, True), batch(5, False)]))
