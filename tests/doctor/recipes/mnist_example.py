"""The shape of PyTorch's own MNIST example: nll_loss summed over the test set."""
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2, self.dropout = nn.Linear(20, 32), nn.Linear(32, 10), nn.Dropout(0.5)

    def forward(self, x):
        return F.log_softmax(self.fc2(self.dropout(F.relu(self.fc1(x)))), dim=1)

net = Net()
optimizer = torch.optim.Adadelta(net.parameters(), lr=1.0)
for _ in range(3):
    optimizer.zero_grad()
    F.nll_loss(net(x), y).backward()
    optimizer.step()
net.eval()
total = 0
with torch.no_grad():
    for start in (0, 20):
        total += F.nll_loss(net(x[start:start + 20]), y[start:start + 20], reduction="sum").item()
