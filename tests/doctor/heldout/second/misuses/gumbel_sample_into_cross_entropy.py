"""'Differentiable argmax': a Gumbel softmax sample is what cross entropy gets."""
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(203)
policy = nn.Sequential(nn.Linear(6, 24), nn.ReLU(), nn.Linear(24, 5))
opt = torch.optim.Adam(policy.parameters())
for step in range(3):
    obs, expert_action = torch.randn(64, 6), torch.randint(0, 5, (64,))
    action = F.gumbel_softmax(policy(obs), tau=1.0, hard=False, dim=-1)
    bc_loss = F.cross_entropy(action, expert_action)  # XEN101
    opt.zero_grad()
    bc_loss.backward()
    opt.step()
