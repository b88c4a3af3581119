"""skorch's NeuralNetClassifier on scikit-learn's digits (docs/third-party.md)."""

import torch
from sklearn.datasets import load_digits
from skorch import NeuralNetClassifier

torch.manual_seed(0)
digits = load_digits()
x, y = (digits.data / 16).astype("float32"), digits.target.astype("int64")
module = torch.nn.Sequential(torch.nn.Linear(64, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10))
net = NeuralNetClassifier(
    module, criterion=torch.nn.CrossEntropyLoss, max_epochs=8, lr=0.5, batch_size=512, iterator_train__shuffle=False
)
net.fit(x, y)
print([float(row["train_loss"]) for row in net.history])
