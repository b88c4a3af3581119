"""Q-learning: argmax in the target, gather in the prediction, a smooth L1 loss."""
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(20)
q, target_q = nn.Linear(6, 3), nn.Linear(6, 3)
opt = torch.optim.RMSprop(q.parameters())
for _ in range(3):
    s, a, r, s2 = torch.randn(64, 6), torch.randint(0, 3, (64, 1)), torch.ones(64), torch.randn(64, 6)
    with torch.no_grad():
        best = q(s2).argmax(1, keepdim=True)
        y = r + 0.99 * target_q(s2).gather(1, best).squeeze(1)
    loss = F.mse_loss(q(s).gather(1, a).squeeze(1), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
