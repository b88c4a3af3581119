"""Advantage actor-critic, one step of an environment after another; nll_loss picks log-probabilities of actions."""
import torch
import torch.nn.functional as F
from torch import nn


class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.affine, self.action_head, self.value_head = nn.Linear(4, 64), nn.Linear(64, 2), nn.Linear(64, 1)

    def forward(self, x):
        x = F.relu(self.affine(x))
        return F.log_softmax(self.action_head(x), dim=-1), self.value_head(x)


torch.manual_seed(122)
model = Policy()
optimizer = torch.optim.Adam(model.parameters(), lr=3e-2)
for episode in range(3):
    log_probs, values, rewards, actions = [], [], [], []
    state = torch.randn(4)
    for t in range(12):
        logp, value = model(state)
        action = torch.multinomial(logp.exp().detach(), 1)
        log_probs.append(logp)
        values.append(value.squeeze())
        actions.append(action.item())
        rewards.append(1.0)
        state = torch.randn(4)
    returns, running = [], 0.0
    for r in reversed(rewards):
        running = r + 0.99 * running
        returns.insert(0, running)
    returns = torch.tensor(returns)
    returns = (returns - returns.mean()) / (returns.std() + 1e-8)
    values = torch.stack(values)
    advantage = returns - values.detach()
    policy_loss = (F.nll_loss(torch.stack(log_probs), torch.tensor(actions), reduction="none") * advantage).sum()
    entropy = -(torch.stack(log_probs).exp() * torch.stack(log_probs)).sum(1).mean()
    loss = policy_loss + F.smooth_l1_loss(values, returns, reduction="sum") - 0.01 * entropy
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
