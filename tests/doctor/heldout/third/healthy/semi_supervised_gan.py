"""A discriminator with K classes and an implicit one for fakes: logsumexp against zero."""
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(306)
K = 10
generator = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 48), nn.Tanh())
discriminator = nn.Sequential(nn.Linear(48, 64), nn.LeakyReLU(0.2), nn.Linear(64, K))
d_optimizer = torch.optim.Adam(discriminator.parameters(), lr=3e-4, betas=(0.5, 0.999))
g_optimizer = torch.optim.Adam(generator.parameters(), lr=3e-4, betas=(0.5, 0.999))
for _ in range(4):
    labelled, y, unlabelled = torch.rand(20, 48) * 2 - 1, torch.randint(0, K, (20,)), torch.rand(40, 48) * 2 - 1
    fake = generator(torch.randn(40, 16))
    supervised = F.cross_entropy(discriminator(labelled), y)
    real_score = discriminator(unlabelled).logsumexp(1)
    fake_score = discriminator(fake.detach()).logsumexp(1)
    d_loss = supervised + F.softplus(-real_score).mean() + F.softplus(fake_score).mean()
    d_optimizer.zero_grad()
    d_loss.backward()
    d_optimizer.step()
    g_loss = F.softplus(-discriminator(fake).logsumexp(1)).mean()
    g_optimizer.zero_grad()
    g_loss.backward()
    g_optimizer.step()
