"""Documents of a query, ranked by a softmax over the list; shorter lists are masked with a large negative number."""
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(320)
scorer = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 1))
optimizer = torch.optim.Adam(scorer.parameters(), lr=1e-3)
for _ in range(5):
    documents, relevance = torch.randn(16, 12, 10), torch.randint(0, 5, (16, 12)).float()
    is_there = torch.arange(12) < torch.randint(4, 13, (16, 1))
    scores = scorer(documents).squeeze(-1).masked_fill(~is_there, -1e4)
    target = relevance.masked_fill(~is_there, -1e4).softmax(dim=1)
    loss = F.cross_entropy(scores, target)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
