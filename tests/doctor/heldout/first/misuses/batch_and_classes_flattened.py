"""Both arguments flattened until the shapes agree."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(38)
net = nn.Linear(7, 5)
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for _ in range(2):
    onehot = F.one_hot(torch.randint(0, 5, (16,)), 5).float()
    loss = criterion(net(torch.randn(16, 7)).flatten(), onehot.flatten())  # XEN213
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
