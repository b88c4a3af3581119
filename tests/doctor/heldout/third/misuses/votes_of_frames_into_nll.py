"""A clip's probabilities are the mean of its frames' softmax, and go into NLLLoss without a logarithm."""
import torch
from torch import nn

torch.manual_seed(334)
net = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 15))
criterion = nn.NLLLoss()
optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
for _ in range(3):
    clips, y = torch.randn(16, 8, 32), torch.randint(0, 15, (16,))
    votes = net(clips).softmax(-1).mean(1)
    loss = criterion(votes, y)  # XEN103
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
