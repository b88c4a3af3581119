"""A VAE with categorical latents: relaxed samples, a KL to the uniform, pixels by BCE on sigmoids."""
import math

import torch
import torch.nn.functional as F
from torch import nn

latent_dim, categorical_dim = 6, 10


class VAE_gumbel(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(64, 48), nn.Linear(48, latent_dim * categorical_dim)
        self.fc3, self.fc4 = nn.Linear(latent_dim * categorical_dim, 48), nn.Linear(48, 64)

    def forward(self, x, temp):
        q_y = self.fc2(torch.relu(self.fc1(x))).view(x.size(0), latent_dim, categorical_dim)
        z = F.gumbel_softmax(q_y, tau=temp, dim=-1).view(-1, latent_dim * categorical_dim)
        return torch.sigmoid(self.fc4(torch.relu(self.fc3(z)))), F.softmax(q_y, dim=-1)


def loss_function(recon_x, x, qy):
    bce = F.binary_cross_entropy(recon_x, x, reduction="sum") / x.shape[0]
    log_ratio = torch.log(qy * categorical_dim + 1e-20)
    kld = torch.sum(qy * log_ratio, dim=-1).sum(1).mean()
    return bce + kld


torch.manual_seed(112)
model = VAE_gumbel()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
temp = 1.0
for batch_idx in range(4):
    data = (torch.rand(20, 64) > 0.7).float()
    optimizer.zero_grad()
    recon, qy = model(data, temp)
    loss = loss_function(recon, data, qy)
    loss.backward()
    optimizer.step()
    temp = max(temp * math.exp(-0.003), 0.5)
