"""Fine-tuning with batches of one and class weights."""
import torch
from torch import nn

torch.manual_seed(40)
model = nn.Linear(6, 2)
criterion = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 9.0]))
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
for sample in range(3):
    loss = criterion(model(torch.randn(1, 6)), torch.randint(0, 2, (1,)))  # XEN302
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
