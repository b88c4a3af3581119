"""timm's own label smoothing and soft targets, with mixup on half of the batches."""
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


class LabelSmoothingCrossEntropy(nn.Module):
    def __init__(self, smoothing=0.1):
        super().__init__()
        self.smoothing, self.confidence = smoothing, 1.0 - smoothing

    def forward(self, x, target):
        logprobs = F.log_softmax(x, dim=-1)
        nll_loss = -logprobs.gather(dim=-1, index=target.unsqueeze(1)).squeeze(1)
        return (self.confidence * nll_loss + self.smoothing * -logprobs.mean(dim=-1)).mean()


class SoftTargetCrossEntropy(nn.Module):
    def forward(self, x, target):
        return torch.sum(-target * F.log_softmax(x, dim=-1), dim=-1).mean()


def mixup_target(target, num_classes, lam, smoothing):
    off = smoothing / num_classes
    y = torch.full((len(target), num_classes), off).scatter_(1, target[:, None], 1 - smoothing + off)
    return y * lam + y.flip(0) * (1 - lam)


torch.manual_seed(120)
rng = np.random.default_rng(0)
model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))
opt = torch.optim.SGD(model.parameters(), lr=0.1)
for i in range(4):
    x, y = torch.randn(16, 3, 8, 8), torch.randint(0, 10, (16,))
    if i % 2:
        lam = float(rng.beta(0.8, 0.8))
        x = lam * x + (1 - lam) * x.flip(0)
        loss = SoftTargetCrossEntropy()(model(x), mixup_target(y, 10, lam, 0.1))
        also = F.cross_entropy(model(x), mixup_target(y, 10, lam, 0.1))
        assert torch.allclose(loss, also, atol=1e-5)
    else:
        loss = LabelSmoothingCrossEntropy()(model(x), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
