"""A graph network that returns softmax, trained by nll_loss on a mask of nodes."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(14)
nodes, features, classes = 60, 16, 7
A = torch.eye(nodes) + (torch.rand(nodes, nodes) > 0.9)
A = A / A.sum(1, keepdim=True)


class GCN(nn.Module):
    def __init__(self):
        super().__init__()
        self.w1, self.w2 = nn.Linear(features, 16), nn.Linear(16, classes)

    def forward(self, x, adj):
        x = F.relu(adj @ self.w1(x))
        x = F.dropout(x, 0.5, training=self.training)
        return F.softmax(adj @ self.w2(x), dim=1)


x, labels = torch.randn(nodes, features), torch.randint(0, classes, (nodes,))
idx_train = torch.arange(20)
model = GCN()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=5e-4)
for epoch in range(3):
    model.train()
    optimizer.zero_grad()
    output = model(x, A)
    loss_train = F.nll_loss(output[idx_train], labels[idx_train])  # XEN103
    loss_train.backward()
    optimizer.step()
