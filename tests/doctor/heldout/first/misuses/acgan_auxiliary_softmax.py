"""An AC-GAN discriminator: the sigmoid with BCELoss is right, the softmax before the auxiliary loss is not."""
import torch
import torch.nn as nn


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Linear(64, 128), nn.LeakyReLU(0.2))
        self.adv_layer = nn.Sequential(nn.Linear(128, 1), nn.Sigmoid())
        self.aux_layer = nn.Sequential(nn.Linear(128, 10), nn.Softmax(dim=-1))

    def forward(self, img):
        out = self.features(img)
        return self.adv_layer(out), self.aux_layer(out)


torch.manual_seed(3)
discriminator = Discriminator()
adversarial_loss = nn.BCELoss()
auxiliary_loss = nn.CrossEntropyLoss()
optimizer_D = torch.optim.Adam(discriminator.parameters(), lr=2e-4)
for _ in range(2):
    real, labels = torch.randn(24, 64), torch.randint(0, 10, (24,))
    valid = torch.ones(24, 1)
    optimizer_D.zero_grad()
    real_pred, real_aux = discriminator(real)
    d_real_loss = (
        adversarial_loss(real_pred, valid)
        + auxiliary_loss(real_aux, labels)  # XEN101
    ) / 2
    d_real_loss.backward()
    optimizer_D.step()
