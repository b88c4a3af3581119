"""Two networks teach each other on noisy labels: each learns from the samples whose loss is small for the other."""
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(304)


def network():
    return nn.Sequential(nn.Linear(20, 40), nn.ReLU(), nn.Dropout(0.25), nn.Linear(40, 6))


first, second = network(), network()
first_optimizer, second_optimizer = (torch.optim.Adam(net.parameters(), lr=1e-3) for net in (first, second))
for epoch in range(6):
    kept = int((1 - min(0.3, 0.1 * epoch)) * 48)
    x, y = torch.randn(48, 20), torch.randint(0, 6, (48,))
    of_first, of_second = first(x), second(x)
    small_of_first = F.cross_entropy(of_first, y, reduction="none").argsort()[:kept]
    small_of_second = F.cross_entropy(of_second, y, reduction="none").argsort()[:kept]
    loss_first = F.cross_entropy(of_first[small_of_second], y[small_of_second])
    loss_second = F.cross_entropy(of_second[small_of_first], y[small_of_first])
    first_optimizer.zero_grad()
    loss_first.backward()
    first_optimizer.step()
    second_optimizer.zero_grad()
    loss_second.backward()
    second_optimizer.step()
