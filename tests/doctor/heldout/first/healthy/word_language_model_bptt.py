"""Truncated back-propagation: (time, batch), flattened, log_softmax in the model, NLLLoss."""
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(31)
V = 50
emb, rnn, dec = nn.Embedding(V, 24), nn.LSTM(24, 24), nn.Linear(24, V)
params = [*emb.parameters(), *rnn.parameters(), *dec.parameters()]
criterion, hidden = nn.NLLLoss(), None
source = torch.randint(0, V, (61, 4))
for i in range(0, 60, 20):
    data, targets = source[i : i + 20], source[i + 1 : i + 21].view(-1)
    out, hidden = rnn(emb(data), None if hidden is None else tuple(h.detach() for h in hidden))
    loss = criterion(F.log_softmax(dec(out).view(-1, V), dim=1), targets)
    loss.backward()
    for p in params:
        p.data.add_(p.grad, alpha=-0.5)
        p.grad = None
