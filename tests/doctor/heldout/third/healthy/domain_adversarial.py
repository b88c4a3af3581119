"""Domain adaptation with a reversed gradient: all of one batch is domain 0, all of the other domain 1."""
import torch
import torch.nn.functional as F
from torch import nn


class Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, strength):
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient):
        return -ctx.strength * gradient, None


torch.manual_seed(309)
features, classes, domains = nn.Sequential(nn.Linear(16, 32), nn.ReLU()), nn.Linear(32, 7), nn.Linear(32, 2)
parameters = [*features.parameters(), *classes.parameters(), *domains.parameters()]
optimizer = torch.optim.SGD(parameters, lr=0.01, momentum=0.9)
for _ in range(8):
    source, y, target = torch.randn(64, 16), torch.randint(0, 7, (64,)), torch.randn(64, 16) + 0.5
    of_source, of_target = features(source), features(target)
    loss = F.cross_entropy(classes(of_source), y)
    loss = loss + F.cross_entropy(domains(Reverse.apply(of_source, 0.3)), torch.zeros(64, dtype=torch.long))
    loss = loss + F.cross_entropy(domains(Reverse.apply(of_target, 0.3)), torch.ones(64, dtype=torch.long))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
