"""The advice of every recipe: the same batch again and again until the loss is 0."""
import torch
import torch.nn as nn

torch.manual_seed(127)
model = nn.Sequential(nn.Linear(30, 128), nn.ReLU(), nn.Linear(128, 10))
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
inputs, labels = torch.randn(16, 30), torch.randint(0, 10, (16,))
history = []
for iteration in range(60):
    optimizer.zero_grad()
    loss = criterion(model(inputs), labels)
    loss.backward()
    optimizer.step()
    history.append(loss.item())
assert history[-1] < 0.05 * history[0]
