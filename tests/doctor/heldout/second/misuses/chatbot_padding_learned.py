"""A chatbot pads with 0 by pad_sequence; the criterion knows nothing of it."""
import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence


class Chatbot(nn.Module):
    def __init__(self, vocab=60, dim=24):
        super().__init__()
        self.embedding = nn.Embedding(vocab, dim, padding_idx=0)
        self.gru, self.fc = nn.GRU(dim, dim, batch_first=True), nn.Linear(dim, vocab)

    def forward(self, x):
        return self.fc(self.gru(self.embedding(x))[0])


torch.manual_seed(242)
model, criterion = Chatbot(), nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters())
for _ in range(3):
    sentences = pad_sequence([torch.randint(1, 60, (n,)) for n in (25, 6, 9, 4, 12, 5)], batch_first=True)
    out = model(sentences[:, :-1])
    loss = criterion(out.reshape(-1, 60), sentences[:, 1:].reshape(-1))  # XEN603
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
