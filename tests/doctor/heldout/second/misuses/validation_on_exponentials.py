"""The validation loop computes ps = torch.exp(output) for the accuracy, and then the loss from ps."""
import torch
import torch.nn as nn
import torch.nn.functional

torch.manual_seed(206)
model = nn.Sequential(nn.Linear(24, 10), nn.LogSoftmax(dim=1))
criterion = nn.NLLLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
for _ in range(2):
    optimizer.zero_grad()
    loss = criterion(model(torch.randn(32, 24)), torch.randint(0, 10, (32,)))
    loss.backward()
    optimizer.step()
model.eval()
with torch.no_grad():
    test_loss = accuracy = 0
    for _ in range(3):
        labels = torch.randint(0, 10, (32,))
        ps = torch.exp(model(torch.randn(32, 24)))
        test_loss += criterion(ps, labels)  # XEN103
        accuracy += (ps.topk(1, dim=1)[1].squeeze() == labels).float().mean()
