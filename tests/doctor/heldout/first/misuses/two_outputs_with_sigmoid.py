"""Cats and dogs: two outputs, a sigmoid and CrossEntropyLoss."""
import torch
import torch.nn as nn

torch.manual_seed(16)


class CNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.fc = nn.Linear(8, 2)
        self.act = nn.Sigmoid()

    def forward(self, x):
        return self.act(self.fc(self.conv(x)))


model = CNN()
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters())
for step in range(3):
    data, target = torch.rand(8, 3, 20, 20), torch.randint(0, 2, (8,))
    output = model(data)
    loss = criterion(output, target)  # XEN105
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
