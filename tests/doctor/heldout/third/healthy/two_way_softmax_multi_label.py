"""Several yes-or-no questions, each with its own two logits: (N, 2, K) logits against (N, K) answers."""
import torch
from torch import nn

torch.manual_seed(315)
QUESTIONS = 6
net = nn.Sequential(nn.Linear(18, 40), nn.ReLU(), nn.Linear(40, 2 * QUESTIONS), nn.Unflatten(1, (2, QUESTIONS)))
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(net.parameters())
for _ in range(5):
    x = torch.randn(32, 18)
    answers = (x[:, :QUESTIONS] > 0.5).long()
    loss = criterion(net(x), answers)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
