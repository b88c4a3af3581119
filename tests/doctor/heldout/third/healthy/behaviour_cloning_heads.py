"""A robot with several discrete actuators: one head each, of different size, their losses added."""
import torch
from torch import nn

torch.manual_seed(312)


class Policy(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(14, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh())
        self.heads = nn.ModuleList(nn.Linear(32, size) for size in sizes)

    def forward(self, observation):
        hidden = self.body(observation)
        return [head(hidden) for head in self.heads]


SIZES = [2, 3, 11]
policy = Policy(SIZES)
optimizer = torch.optim.Adam(policy.parameters(), lr=3e-4)
for _ in range(6):
    observation = torch.randn(256, 14)
    actions = torch.stack([torch.randint(0, size, (256,)) for size in SIZES], dim=1)
    actions[:, 0] = (torch.rand(256) < 0.03).long()  # the gripper closes rarely
    outputs = policy(observation)
    loss = sum(nn.functional.cross_entropy(out, actions[:, k]) for k, out in enumerate(outputs))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
