"""A tagger with a CRF: the partition function by logsumexp, no loss of torch."""
import torch
from torch import nn


class BiLSTM_CRF(nn.Module):
    def __init__(self, vocab, tags, dim=16):
        super().__init__()
        self.embed = nn.Embedding(vocab, dim)
        self.lstm = nn.LSTM(dim, dim // 2, bidirectional=True, batch_first=True)
        self.hidden2tag = nn.Linear(dim, tags)
        self.transitions = nn.Parameter(torch.randn(tags, tags))

    def neg_log_likelihood(self, sentence, tags):
        feats = self.hidden2tag(self.lstm(self.embed(sentence))[0])
        alpha = feats[:, 0]
        for t in range(1, feats.size(1)):
            alpha = torch.logsumexp(alpha.unsqueeze(2) + self.transitions, dim=1) + feats[:, t]
        gold = feats.gather(2, tags.unsqueeze(2)).squeeze(2).sum(1) + self.transitions[tags[:, :-1], tags[:, 1:]].sum(1)
        return (torch.logsumexp(alpha, dim=1) - gold).mean()


torch.manual_seed(110)
model = BiLSTM_CRF(60, 5)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01, weight_decay=1e-4)
for epoch in range(3):
    model.zero_grad()
    loss = model.neg_log_likelihood(torch.randint(0, 60, (4, 11)), torch.randint(0, 5, (4, 11)))
    loss.backward()
    optimizer.step()
