"""A training_step in a module with its own loss; the classifier ends in a softmax, everything under autocast."""
import torch
from torch import nn


class Litlike(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(24, 64), nn.GELU(), nn.LayerNorm(64))
        self.classifier = nn.Sequential(nn.Linear(64, 12), nn.Softmax(dim=-1))
        self.loss_fn = nn.CrossEntropyLoss(label_smoothing=0.1)

    def forward(self, x):
        return self.classifier(self.body(x))

    def training_step(self, batch):
        x, y = batch
        with torch.autocast("cpu", torch.bfloat16):
            return self.loss_fn(self(x), y)  # XEN101


torch.manual_seed(332)
module = Litlike()
optimizer = torch.optim.AdamW(module.parameters(), lr=1e-3)
for _ in range(3):
    loss = module.training_step((torch.randn(32, 24), torch.randint(0, 12, (32,))))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
