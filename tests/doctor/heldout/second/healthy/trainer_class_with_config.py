"""A Trainer class: configuration, evaluation, early stopping, checkpoints in memory; the mean is weighed by samples."""
import dataclasses
import io

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split


@dataclasses.dataclass
class Config:
    epochs: int = 3
    batch_size: int = 32
    lr: float = 1e-2
    patience: int = 2
    clip: float = 1.0


class Trainer:
    def __init__(self, model, config):
        self.model, self.config = model, config
        self.optimizer = torch.optim.Adam(model.parameters(), lr=config.lr)
        self.criterion = nn.CrossEntropyLoss()
        self.best, self.bad_epochs, self.checkpoint = float("inf"), 0, io.BytesIO()

    def run_epoch(self, loader, train):
        self.model.train(train)
        loss_sum = correct = seen = 0
        with torch.set_grad_enabled(train):
            for inputs, targets in loader:
                outputs = self.model(inputs)
                loss = self.criterion(outputs, targets)
                if train:
                    self.optimizer.zero_grad()
                    loss.backward()
                    nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
                    self.optimizer.step()
                loss_sum += loss.item() * inputs.size(0)
                correct += (outputs.argmax(dim=1) == targets).sum().item()
                seen += inputs.size(0)
        return loss_sum / seen, correct / seen

    def fit(self, train_loader, val_loader):
        for _ in range(self.config.epochs):
            self.run_epoch(train_loader, train=True)
            val_loss, _ = self.run_epoch(val_loader, train=False)
            if val_loss < self.best:
                self.best, self.bad_epochs = val_loss, 0
                self.checkpoint = io.BytesIO()
                torch.save(self.model.state_dict(), self.checkpoint)
            else:
                self.bad_epochs += 1
            if self.bad_epochs > self.config.patience:
                break


torch.manual_seed(115)
X = torch.randn(150, 12)
data = TensorDataset(X, (X @ torch.randn(12, 4)).argmax(1))
train_set, val_set = random_split(data, [115, 35])
config = Config()
trainer = Trainer(nn.Sequential(nn.Linear(12, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 4)), config)
trainer.fit(DataLoader(train_set, config.batch_size, shuffle=True), DataLoader(val_set, config.batch_size))
