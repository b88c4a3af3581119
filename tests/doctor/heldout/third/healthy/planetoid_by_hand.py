"""One graph, few labelled nodes: log_softmax over all nodes, nll_loss of those in the mask."""
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(316)
NODES, C = 120, 7
edges = (torch.rand(NODES, NODES) < 0.05).float()
adjacency = ((edges + edges.T) > 0).float() + torch.eye(NODES)
degree = adjacency.sum(1).rsqrt()
adjacency = degree[:, None] * adjacency * degree
x, y = (torch.rand(NODES, 50) < 0.1).float(), torch.randint(0, C, (NODES,))
train = torch.zeros(NODES, dtype=torch.bool)
for c in range(C):
    train[(y == c).nonzero()[:4, 0]] = True
first, second = nn.Linear(50, 16, bias=False), nn.Linear(16, C, bias=False)
optimizer = torch.optim.Adam([*first.parameters(), *second.parameters()], lr=0.01, weight_decay=5e-4)


def forward(training):
    hidden = F.dropout(F.relu(adjacency @ first(x)), training=training)
    return F.log_softmax(adjacency @ second(hidden), dim=1)


for epoch in range(5):
    optimizer.zero_grad()
    loss = F.nll_loss(forward(True)[train], y[train])
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        validation = F.nll_loss(forward(False)[~train], y[~train]).item()
