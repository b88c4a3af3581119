"""A softmax over experts, cross entropy of the mixed logits."""
import torch
from torch import nn

torch.manual_seed(23)
gate, experts = nn.Linear(16, 4), nn.ModuleList(nn.Linear(16, 7) for _ in range(4))
opt = torch.optim.Adam([*gate.parameters(), *experts.parameters()])
for _ in range(3):
    x, y = torch.randn(32, 16), torch.randint(0, 7, (32,))
    g = torch.softmax(gate(x), dim=-1)
    logits = (g.unsqueeze(-1) * torch.stack([e(x) for e in experts], dim=1)).sum(1)
    loss = nn.functional.cross_entropy(logits, y)
    opt.zero_grad()
    loss.backward()
    opt.step()
