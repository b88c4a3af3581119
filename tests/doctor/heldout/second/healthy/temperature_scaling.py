"""Calibration after training: the logits are constants, one temperature is fitted with LBFGS."""
import torch
from torch import nn, optim


class ModelWithTemperature(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model
        self.temperature = nn.Parameter(torch.ones(1) * 1.5)

    def temperature_scale(self, logits):
        return logits / self.temperature.unsqueeze(1).expand(logits.size(0), logits.size(1))

    def set_temperature(self, loader):
        nll_criterion = nn.CrossEntropyLoss()
        logits_list, labels_list = [], []
        with torch.no_grad():
            for inputs, label in loader:
                logits_list.append(self.model(inputs))
                labels_list.append(label)
        logits, labels = torch.cat(logits_list), torch.cat(labels_list)
        before = nll_criterion(logits, labels).item()
        optimizer = optim.LBFGS([self.temperature], lr=0.01, max_iter=10)

        def closure():
            optimizer.zero_grad()
            loss = nll_criterion(self.temperature_scale(logits), labels)
            loss.backward()
            return loss

        optimizer.step(closure)
        after = nll_criterion(self.temperature_scale(logits), labels).item()
        return before, after


torch.manual_seed(108)
trained = nn.Linear(10, 5)
with torch.no_grad():
    trained.weight.mul_(8)
x = torch.randn(200, 10)
y = (trained(x) + 4 * torch.randn(200, 5)).argmax(1)
loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=64)
print(ModelWithTemperature(trained).set_temperature(loader))
