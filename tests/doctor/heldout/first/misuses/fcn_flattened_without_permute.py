"""(N, C, H, W) scores viewed as (-1, C)."""
import torch
import torch.nn as nn

torch.manual_seed(26)
n_class = 6
fcn = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, n_class, 1))
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.RMSprop(fcn.parameters(), lr=1e-4)
for _ in range(2):
    images, labels = torch.rand(2, 3, 12, 12), torch.randint(0, n_class, (2, 12, 12))
    optimizer.zero_grad()
    outputs = fcn(images)
    loss = criterion(outputs.view(-1, n_class), labels.view(-1))  # XEN113
    loss.backward()
    optimizer.step()
