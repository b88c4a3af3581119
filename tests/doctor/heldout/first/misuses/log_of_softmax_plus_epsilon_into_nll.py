"""log(softmax + 1e-10) into NLLLoss."""
import torch
import torch.nn as nn

torch.manual_seed(25)
rnn, fc, softmax = nn.GRU(8, 12, batch_first=True), nn.Linear(12, 5), nn.Softmax(dim=-1)
nll = nn.NLLLoss()
_, h = rnn(torch.randn(10, 7, 8))
log_probs = torch.log(softmax(fc(h[-1])) + 1e-10)
loss = nll(log_probs, torch.randint(0, 5, (10,)))  # XEN112
loss.backward()
