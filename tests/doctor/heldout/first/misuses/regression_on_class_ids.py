"""num_labels=1 by mistake: class ids of a five-class task are regressed."""
import torch
from torch import nn

torch.manual_seed(61)
encoder, classifier = nn.Linear(24, 24), nn.Linear(24, 1)
optimizer = torch.optim.AdamW([*encoder.parameters(), *classifier.parameters()])
for _ in range(2):
    labels = torch.randint(0, 5, (32,))
    logits = classifier(torch.tanh(encoder(torch.randn(32, 24))))
    loss = nn.MSELoss()(logits.view(-1), labels.view(-1).float())  # XEN611
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
