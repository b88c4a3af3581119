"""A trainer that scales for accumulation, and a script that scales as well."""
import torch
from torch import nn

torch.manual_seed(45)


class Accelerator:
    def __init__(self, gradient_accumulation_steps):
        self.steps = gradient_accumulation_steps

    def backward(self, loss):
        loss = loss / self.steps
        loss.backward()  # XEN308


model = nn.Linear(8, 4)
optimizer = torch.optim.AdamW(model.parameters())
accelerator = Accelerator(gradient_accumulation_steps=8)
for step in range(8):
    output = nn.functional.cross_entropy(model(torch.randn(16, 8)), torch.randint(0, 4, (16,)))
    accelerator.backward(output / 8)
optimizer.step()
optimizer.zero_grad()
