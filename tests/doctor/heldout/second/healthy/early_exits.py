"""A network with several exits: the last exit teaches the earlier ones, detached."""
import torch
import torch.nn.functional as F
from torch import nn


class MultiExit(nn.Module):
    def __init__(self, width=32, classes=9, exits=3):
        super().__init__()
        self.blocks = nn.ModuleList([nn.Linear(width, width) for _ in range(exits)])
        self.heads = nn.ModuleList([nn.Linear(width, classes) for _ in range(exits)])

    def forward(self, x):
        outs = []
        for block, head in zip(self.blocks, self.heads):
            x = torch.relu(block(x)) + x
            outs.append(head(x))
        return outs


torch.manual_seed(129)
net = MultiExit()
opt = torch.optim.SGD(net.parameters(), lr=0.05, nesterov=True, momentum=0.9)
for _ in range(4):
    x, y = torch.randn(48, 32), torch.randint(0, 9, (48,))
    *early, final = net(x)
    loss = F.cross_entropy(final, y)
    soft = (final.detach() / 3).softmax(1)
    for out in early:
        loss = loss + 0.5 * F.cross_entropy(out, y) + 0.5 * 9 * F.kl_div((out / 3).log_softmax(1), soft, reduction="batchmean")
    opt.zero_grad()
    loss.backward()
    opt.step()
