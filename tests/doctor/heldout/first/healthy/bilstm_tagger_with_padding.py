"""Named entities: flattened, padding -100."""
import torch
from torch import nn

torch.manual_seed(2)
emb, lstm, out = nn.Embedding(200, 16, padding_idx=0), nn.LSTM(16, 16, batch_first=True, bidirectional=True), nn.Linear(32, 9)
params = [*emb.parameters(), *lstm.parameters(), *out.parameters()]
opt, criterion = torch.optim.Adam(params), nn.CrossEntropyLoss(ignore_index=-100)
for _ in range(3):
    tokens, tags = torch.zeros(6, 20, dtype=torch.long), torch.full((6, 20), -100)
    for row, n in enumerate((20, 13, 7, 18, 4, 11)):
        tokens[row, :n], tags[row, :n] = torch.randint(1, 200, (n,)), torch.randint(0, 9, (n,))
    scores = out(lstm(emb(tokens))[0])
    loss = criterion(scores.view(-1, 9), tags.view(-1))
    opt.zero_grad()
    loss.backward()
    opt.step()
