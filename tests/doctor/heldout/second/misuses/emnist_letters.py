"""EMNIST letters has labels 1..26; the head has 26 outputs."""
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Letters(Dataset):
    def __len__(self):
        return 104

    def __getitem__(self, i):
        return torch.full((1, 8, 8), float(i % 26)) / 26, i % 26 + 1


torch.manual_seed(223)
model = nn.Sequential(nn.Flatten(), nn.Linear(64, 26))
criterion = nn.CrossEntropyLoss()
for images, labels in DataLoader(Letters(), batch_size=52):
    loss = criterion(model(images), labels)  # XEN203
    loss.backward()
