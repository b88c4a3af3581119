"""A Keras user's categorical cross entropy."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(24)


def categorical_crossentropy(logits, onehot):
    probs = F.softmax(logits, dim=1)
    return torch.mean(-torch.sum(onehot * torch.log(probs), dim=1))


model = nn.Linear(10, 4)
optimizer = torch.optim.Adam(model.parameters())
for _ in range(2):
    y = F.one_hot(torch.randint(0, 4, (24,)), 4).float()
    loss = categorical_crossentropy(model(torch.randn(24, 10)), y)
    optimizer.zero_grad()
    loss.backward()  # XEN112
    optimizer.step()
