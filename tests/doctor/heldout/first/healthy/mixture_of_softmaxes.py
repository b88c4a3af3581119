"""AWD-LSTM's mixture of softmaxes: the logarithm of a sum of softmaxes has no logits."""
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(25)
prior, latent, decoder = nn.Linear(16, 3), nn.Linear(16, 48), nn.Linear(16, 30)
opt = torch.optim.SGD([*prior.parameters(), *latent.parameters(), *decoder.parameters()], lr=0.5)
for _ in range(3):
    h, y = torch.randn(40, 16), torch.randint(0, 30, (40,))
    pi = F.softmax(prior(h), -1)
    p = F.softmax(decoder(torch.tanh(latent(h)).view(40, 3, 16)), -1)
    prob = (p * pi.unsqueeze(2)).sum(1)
    loss = F.nll_loss(torch.log(prob + 1e-8), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
