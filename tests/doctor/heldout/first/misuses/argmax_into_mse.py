"""The predicted classes, compared by MSELoss with the labels."""
import torch
import torch.nn as nn

torch.manual_seed(23)
model = nn.Linear(12, 5)
criterion = nn.MSELoss()
outputs = model(torch.randn(32, 12))
_, preds = torch.max(outputs, 1)
loss = criterion(preds.float(), torch.randint(0, 5, (32,)).float())
loss.backward()  # XEN110
