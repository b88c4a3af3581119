"""PyTorch's first MNIST example: log_softmax and nll_loss, the test loss summed."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(1)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.fc = nn.Conv2d(1, 8, 5), nn.Linear(8 * 12 * 12, 10)

    def forward(self, x):
        x = F.relu(F.max_pool2d(self.conv1(x), 2)).view(-1, 8 * 12 * 12)
        return F.log_softmax(self.fc(x), dim=1)


model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
for _ in range(3):
    data, target = torch.randn(32, 1, 28, 28), torch.randint(0, 10, (32,))
    optimizer.zero_grad()
    loss = F.nll_loss(model(data), target)
    loss.backward()
    optimizer.step()
model.eval()
test_loss = correct = 0
with torch.no_grad():
    for n in (32, 32, 9):
        data, target = torch.randn(n, 1, 28, 28), torch.randint(0, 10, (n,))
        output = model(data)
        test_loss += F.nll_loss(output, target, reduction="sum").item()
        correct += output.argmax(dim=1, keepdim=True).eq(target.view_as(output.argmax(1, keepdim=True))).sum().item()
test_loss /= 73
