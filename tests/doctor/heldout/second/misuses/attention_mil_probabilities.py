"""Multiple instance learning: forward returns (probabilities, prediction, attention), and the first goes to the loss."""
import torch
import torch.nn as nn
import torch.nn.functional as F


class GatedAttention(nn.Module):
    def __init__(self, L=32, D=16, classes=3):
        super().__init__()
        self.V, self.U, self.w = nn.Linear(L, D), nn.Linear(L, D), nn.Linear(D, 1)
        self.classifier = nn.Linear(L, classes)

    def forward(self, bag):
        A = F.softmax(self.w(torch.tanh(self.V(bag)) * torch.sigmoid(self.U(bag))).transpose(1, 0), dim=1)
        logits = self.classifier(A @ bag)
        Y_prob = F.softmax(logits, dim=1)
        return Y_prob, Y_prob.argmax(1), A


torch.manual_seed(201)
model = GatedAttention()
optimizer = torch.optim.Adam(model.parameters(), lr=5e-4)
criterion = nn.CrossEntropyLoss()


def train_one_epoch(bags):
    for bag, label in bags:
        optimizer.zero_grad()
        prob, hat, _ = model(bag)
        loss = criterion(prob, label)  # XEN101
        loss.backward()
        optimizer.step()


train_one_epoch([(torch.randn(20, 32), torch.randint(0, 3, (1,))) for _ in range(40)])
