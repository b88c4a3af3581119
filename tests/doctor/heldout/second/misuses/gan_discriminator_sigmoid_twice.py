"""The discriminator ends in a sigmoid, the adversarial loss is BCEWithLogitsLoss."""
import torch
import torch.nn as nn


def weights_init(m):
    if isinstance(m, nn.Linear):
        nn.init.normal_(m.weight, 0.0, 0.02)


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.model = nn.Sequential(nn.Linear(50, 40), nn.LeakyReLU(0.2), nn.Linear(40, 1), nn.Sigmoid())

    def forward(self, img):
        return self.model(img.view(img.size(0), -1))


torch.manual_seed(210)
generator, discriminator = nn.Linear(8, 50), Discriminator()
discriminator.apply(weights_init)
adversarial_loss = nn.BCEWithLogitsLoss()
opt_g, opt_d = torch.optim.Adam(generator.parameters()), torch.optim.Adam(discriminator.parameters())
for _ in range(2):
    valid, fake = torch.ones(64, 1), torch.zeros(64, 1)
    gen = generator(torch.randn(64, 8))
    g_loss = adversarial_loss(discriminator(gen), valid)  # XEN106
    opt_g.zero_grad()
    g_loss.backward()
    opt_g.step()
    d_loss = adversarial_loss(discriminator(gen.detach()), fake)  # XEN106
    opt_d.zero_grad()
    d_loss.backward()
    opt_d.step()
