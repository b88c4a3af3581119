"""Movie genres: several labels per film, and CrossEntropyLoss."""
import torch
import torch.nn as nn

torch.manual_seed(33)
model = nn.Sequential(nn.Linear(30, 32), nn.ReLU(), nn.Linear(32, 18))
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters())
for _ in range(2):
    genres = (torch.rand(25, 18) < 0.15).float()
    genres[torch.arange(25), torch.randint(0, 18, (25,))] = 1.0
    loss = criterion(model(torch.randn(25, 30)), genres)  # XEN204
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
