"""DataParallel (on the CPU it is the module itself), the loss inside the module."""
import torch
import torch.nn.functional as F


class WithLoss(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.net = torch.nn.Linear(20, 10)

    def forward(self, x, y):
        return F.nll_loss(self.net(x), y)  # XEN104


torch.manual_seed(0)
model = torch.nn.DataParallel(WithLoss())
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(4):
    loss = model(torch.randn(32, 20), torch.randint(0, 10, (32,))).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
