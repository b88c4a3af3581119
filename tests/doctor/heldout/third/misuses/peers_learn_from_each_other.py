"""Deep mutual learning where the peer's probabilities are not detached: each pulls the other, too."""
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(349)
peers = nn.ModuleList(nn.Sequential(nn.Linear(20, 40), nn.ReLU(), nn.Linear(40, 6)) for _ in range(2))
optimizer = torch.optim.SGD(peers.parameters(), lr=0.1, momentum=0.9)
for _ in range(3):
    x, y = torch.randn(32, 20), torch.randint(0, 6, (32,))
    one, other = (peer(x) for peer in peers)
    loss = F.cross_entropy(one, y) + F.cross_entropy(other, y)
    loss = loss + F.kl_div(F.log_softmax(one, 1), F.softmax(other, 1), reduction="batchmean")  # XEN209
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
