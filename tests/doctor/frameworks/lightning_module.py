"""A LightningModule of a tutorial: a softmax at the end of forward; accumulate_grad_batches and a division besides."""
import lightning
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Classifier(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 10), nn.Softmax(dim=1))
        self.criterion = nn.CrossEntropyLoss()

    def training_step(self, batch, index):
        x, y = batch
        return self.criterion(self.net(x), y)  # XEN101

    def validation_step(self, batch, index):
        x, y = batch
        self.log("val_loss", self.criterion(self.net(x), y))  # XEN101

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters())


torch.manual_seed(0)
data = TensorDataset(torch.randn(64, 20), torch.randint(0, 10, (64,)))
trainer = lightning.Trainer(
    max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
    enable_model_summary=False, accumulate_grad_batches=2,
)
trainer.fit(Classifier(), DataLoader(data, batch_size=16), DataLoader(data, batch_size=16))
