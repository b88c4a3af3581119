"""The decoder of a translation tutorial without its LogSoftmax, word by word with NLLLoss."""
import torch
from torch import nn, optim

torch.manual_seed(15)


class DecoderRNN(nn.Module):
    def __init__(self, hidden_size, output_size):
        super(DecoderRNN, self).__init__()
        self.embedding = nn.Embedding(output_size, hidden_size)
        self.gru = nn.GRU(hidden_size, hidden_size)
        self.out = nn.Linear(hidden_size, output_size)

    def forward(self, input, hidden):
        output = self.embedding(input).view(1, 1, -1)
        output, hidden = self.gru(torch.relu(output), hidden)
        return self.out(output[0]), hidden


decoder = DecoderRNN(16, 40)
criterion = nn.NLLLoss()
decoder_optimizer = optim.SGD(decoder.parameters(), lr=0.01)
target_tensor = torch.randint(2, 40, (6, 1))
decoder_hidden = torch.zeros(1, 1, 16)
decoder_input = torch.tensor([[0]])
loss = 0
for di in range(6):
    decoder_output, decoder_hidden = decoder(decoder_input, decoder_hidden)
    loss += criterion(decoder_output, target_tensor[di])  # XEN104
    decoder_input = target_tensor[di]
loss.backward()
decoder_optimizer.step()
