"""Two streams are fused by averaging their softmax scores, and the average is trained with cross entropy."""
import torch
from torch import nn


class TwoStream(nn.Module):
    def __init__(self, classes=12):
        super().__init__()
        self.rgb, self.flow = nn.Linear(40, classes), nn.Linear(30, classes)
        self.softmax = nn.Softmax(dim=1)

    def forward(self, rgb, flow):
        return (self.softmax(self.rgb(rgb)) + self.softmax(self.flow(flow))) / 2


torch.manual_seed(204)
net, loss_function = TwoStream(), nn.CrossEntropyLoss()
sgd = torch.optim.SGD(net.parameters(), lr=0.1)
for _ in range(2):
    fused = net(torch.randn(16, 40), torch.randn(16, 30))
    loss = loss_function(fused, torch.randint(0, 12, (16,)))  # XEN101
    sgd.zero_grad()
    loss.backward()
    sgd.step()
