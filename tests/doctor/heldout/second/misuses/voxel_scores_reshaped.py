"""Medical volumes: (N, C, D, H, W) scores reshaped to (-1, C) with the classes still in dim 1."""
import torch
import torch.nn as nn

torch.manual_seed(220)
n_classes = 4
vnet = nn.Sequential(nn.Conv3d(1, 6, 3, padding=1), nn.PReLU(), nn.Conv3d(6, n_classes, 1))
loss_fn = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(vnet.parameters(), lr=1e-3)
for _ in range(2):
    volume, seg = torch.randn(2, 1, 6, 8, 8), torch.randint(0, n_classes, (2, 6, 8, 8))
    output = vnet(volume).reshape(-1, n_classes)
    loss = loss_fn(output, seg.reshape(-1))  # XEN113
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
