"""An MNIST net of 2017: Variable, and a softmax at the end of forward."""
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.autograd import Variable


class Net(nn.Module):
    def __init__(self):
        super(Net, self).__init__()
        self.conv1 = nn.Conv2d(1, 10, kernel_size=5)
        self.conv2 = nn.Conv2d(10, 20, kernel_size=5)
        self.fc1 = nn.Linear(320, 50)
        self.fc2 = nn.Linear(50, 10)

    def forward(self, x):
        x = F.relu(F.max_pool2d(self.conv1(x), 2))
        x = F.relu(F.max_pool2d(self.conv2(x), 2))
        x = x.view(-1, 320)
        x = F.relu(self.fc1(x))
        x = F.dropout(x, training=self.training)
        return F.softmax(self.fc2(x))


torch.manual_seed(1)
net = Net()
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.5)
running_loss = 0.0
for i in range(4):
    inputs, labels = Variable(torch.randn(16, 1, 28, 28)), Variable(torch.randint(0, 10, (16,)))
    optimizer.zero_grad()
    outputs = net(inputs)
    loss = criterion(outputs, labels)  # XEN101
    loss.backward()
    optimizer.step()
    running_loss += loss.data
