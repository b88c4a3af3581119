"""Sequence first: the scores are (T, B, C), and log_softmax runs over dim=1, which is the batch."""
import torch
import torch.nn as nn
import torch.nn.functional as F


class POSTagger(nn.Module):
    def __init__(self, n_words=70, n_tags=11):
        super().__init__()
        self.emb, self.gru, self.out = nn.Embedding(n_words, 20), nn.GRU(20, 20), nn.Linear(20, n_tags)

    def forward(self, words):
        hidden, _ = self.gru(self.emb(words))
        return F.log_softmax(self.out(hidden), dim=1)


torch.manual_seed(211)
model, nll = POSTagger(), nn.NLLLoss()
optimizer = torch.optim.Adam(model.parameters())
for _ in range(2):
    words, tags = torch.randint(0, 70, (15, 8)), torch.randint(0, 11, (15, 8))
    scores = model(words)
    loss = nll(scores.view(-1, 11), tags.view(-1))  # XEN107
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
