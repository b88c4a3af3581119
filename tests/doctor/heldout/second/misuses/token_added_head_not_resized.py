"""Special tokens were added to the tokenizer; the output layer still has the old vocabulary."""
import torch
import torch.nn.functional as F
from torch import nn

OLD, NEW = 96, 98
torch.manual_seed(224)
embedding, rnn, lm_head = nn.Embedding(NEW, 24), nn.GRU(24, 24, batch_first=True), nn.Linear(24, OLD)
tokens = torch.randint(0, OLD, (4, 20))
tokens[:, 0], tokens[:, -1] = 96, 97
hidden, _ = rnn(embedding(tokens[:, :-1]))
logits = lm_head(hidden)
loss = F.cross_entropy(logits.reshape(-1, OLD), tokens[:, 1:].reshape(-1))  # XEN203
loss.backward()
