"""dim=-1 as everywhere else, but the scores are (N, C, H, W): normalised over the width."""
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(338)
net = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 6, 1))
optimizer = torch.optim.Adam(net.parameters())
for _ in range(3):
    scores = net(torch.rand(4, 3, 16, 20))
    loss = F.nll_loss(F.log_softmax(scores, dim=-1), torch.randint(0, 6, (4, 16, 20)))  # XEN107
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
