"""A discrete policy: ratios of probabilities, an entropy bonus, a value by MSE."""
import torch
from torch import nn
from torch.distributions import Categorical

torch.manual_seed(8)
actor, critic = nn.Linear(8, 4), nn.Linear(8, 1)
opt = torch.optim.Adam([*actor.parameters(), *critic.parameters()])
obs = torch.randn(64, 8)
with torch.no_grad():
    old = Categorical(logits=actor(obs))
    action = old.sample()
    old_logp = old.log_prob(action)
returns, advantage = torch.randn(64), torch.randn(64)
for _ in range(3):
    dist = Categorical(logits=actor(obs))
    ratio = (dist.log_prob(action) - old_logp).exp()
    clipped = ratio.clamp(0.8, 1.2)
    loss = -torch.min(ratio * advantage, clipped * advantage).mean() - 0.01 * dist.entropy().mean()
    loss = loss + 0.5 * nn.functional.mse_loss(critic(obs).squeeze(-1), returns)
    opt.zero_grad()
    loss.backward()
    opt.step()
