"""Labels flipped with known rates: the transition matrix is put behind the softmax, and nll_loss gets the logarithm."""
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(308)
C = 5
transition = 0.7 * torch.eye(C) + 0.3 / C
net = nn.Sequential(nn.Linear(12, 32), nn.ReLU(), nn.Linear(32, C))
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for _ in range(5):
    x, clean = torch.randn(40, 12), torch.randint(0, C, (40,))
    noisy = torch.multinomial(transition[clean], 1).squeeze(1)
    probabilities = F.softmax(net(x), dim=1) @ transition
    loss = F.nll_loss(torch.log(probabilities), noisy)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
