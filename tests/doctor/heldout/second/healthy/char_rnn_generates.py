"""A character model that trains by chunks with a carried state, and samples from softmax in between."""
import torch
import torch.nn as nn

text = "the quick brown fox jumps over the lazy dog and runs away from the slow grey wolf " * 6
chars = sorted(set(text))
stoi = {c: i for i, c in enumerate(chars)}
data = torch.tensor([stoi[c] for c in text])


class CharRNN(nn.Module):
    def __init__(self, n, hidden=32):
        super().__init__()
        self.encoder, self.rnn, self.decoder = nn.Embedding(n, hidden), nn.LSTM(hidden, hidden), nn.Linear(hidden, n)

    def forward(self, seq, state):
        out, state = self.rnn(self.encoder(seq), state)
        return self.decoder(out), (state[0].detach(), state[1].detach())


torch.manual_seed(121)
rnn = CharRNN(len(chars))
loss_fn, optimizer = nn.CrossEntropyLoss(), torch.optim.Adam(rnn.parameters(), lr=2e-3)
seq_len, state = 40, None
for pos in range(0, len(data) - seq_len - 1, seq_len):
    input_seq, target_seq = data[pos : pos + seq_len].unsqueeze(1), data[pos + 1 : pos + seq_len + 1].unsqueeze(1)
    output, state = rnn(input_seq, state)
    loss = loss_fn(torch.squeeze(output), torch.squeeze(target_seq))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
with torch.no_grad():
    letter, state = data[:1].view(1, 1), None
    for _ in range(20):
        output, state = rnn(letter, state)
        probability = torch.nn.functional.softmax(output.view(-1) / 0.8, dim=0)
        letter = torch.multinomial(probability, 1).view(1, 1)
