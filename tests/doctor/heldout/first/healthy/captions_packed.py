"""Image captions: cross entropy on packed data."""
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

torch.manual_seed(19)
V, lengths = 50, [12, 10, 7, 5]
emb, lstm, out = nn.Embedding(V, 16), nn.LSTM(16, 16, batch_first=True), nn.Linear(16, V)
opt = torch.optim.Adam([*emb.parameters(), *lstm.parameters(), *out.parameters()])
for _ in range(3):
    captions = torch.zeros(4, 12, dtype=torch.long)
    for row, n in enumerate(lengths):
        captions[row, :n] = torch.randint(1, V, (n,))
    feature = torch.randn(4, 1, 16)
    inputs = torch.cat([feature, emb(captions[:, :-1])], dim=1)
    hidden, _ = lstm(pack_padded_sequence(inputs, lengths, batch_first=True))
    targets = pack_padded_sequence(captions, lengths, batch_first=True).data
    loss = nn.functional.cross_entropy(out(hidden.data), targets)
    opt.zero_grad()
    loss.backward()
    opt.step()
