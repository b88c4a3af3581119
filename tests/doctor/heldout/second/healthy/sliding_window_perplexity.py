"""Perplexity with a sliding window: the context of each window is masked, sums are divided by the count of tokens."""
import math

import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(119)
V = 60
lm = nn.Sequential(nn.Embedding(V, 24), nn.Linear(24, V)).eval()
encodings = torch.randint(0, V, (1, 200))
max_length, stride = 64, 24
nll_sum, n_tokens, prev_end = 0.0, 0, 0
for begin in range(0, encodings.size(1), stride):
    end = min(begin + max_length, encodings.size(1))
    trg_len = end - prev_end
    input_ids = encodings[:, begin:end]
    target_ids = input_ids.clone()
    target_ids[:, :-trg_len] = -100
    with torch.no_grad():
        logits = lm(input_ids)
        neg_log_likelihood = F.cross_entropy(logits[:, :-1].reshape(-1, V), target_ids[:, 1:].reshape(-1))
    valid = (target_ids[:, 1:] != -100).sum().item()
    nll_sum += neg_log_likelihood.item() * valid
    n_tokens += valid
    prev_end = end
    if end == encodings.size(1):
        break
print(math.exp(nll_sum / n_tokens))
