"""pad_sequence fills with 0, the embedding knows, the loss does not."""
import torch
import torch.nn as nn
from torch.nn.utils.rnn import pad_sequence

torch.manual_seed(12)
PAD, VOCAB = 0, 30
texts = [torch.randint(1, VOCAB, (n,)) for n in (5, 9, 14, 20, 7, 11)]
batch = pad_sequence(texts, batch_first=True, padding_value=PAD)
src, tgt = batch[:, :-1], batch[:, 1:]


class RNNModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(VOCAB, 16, padding_idx=PAD)
        self.lstm = nn.LSTM(16, 16, batch_first=True)
        self.out = nn.Linear(16, VOCAB)

    def forward(self, x):
        return self.out(self.lstm(self.emb(x))[0])


model, criterion = RNNModel(), nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters())
for _ in range(2):
    optimizer.zero_grad()
    logits = model(src)
    loss = criterion(logits.reshape(-1, VOCAB), tgt.reshape(-1))  # XEN603
    loss.backward()
    optimizer.step()
