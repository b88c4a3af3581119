"""A Keras user's Model class: softmax in the last layer because there it has to be, fit() around it."""
import torch
from torch import nn


class Dense(nn.Module):
    def __init__(self, i, o, activation=None):
        super().__init__()
        self.linear, self.activation = nn.Linear(i, o), activation

    def forward(self, x):
        x = self.linear(x)
        if self.activation == "softmax":
            return torch.exp(x) / torch.exp(x).sum(-1, keepdim=True)
        return torch.relu(x) if self.activation == "relu" else x


class Model(nn.Module):
    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x

    def compile_model(self, loss, lr):
        self.loss_fn, self.opt = loss, torch.optim.RMSprop(self.parameters(), lr)

    def fit(self, x, y, batch_size, epochs):
        for _ in range(epochs):
            for i in range(0, len(x), batch_size):
                loss = self.loss_fn(self(x[i : i + batch_size]), y[i : i + batch_size])  # XEN101
                self.opt.zero_grad()
                loss.backward()
                self.opt.step()


torch.manual_seed(202)
model = Model(Dense(16, 32, "relu"), Dense(32, 10, "softmax"))
model.compile_model(nn.CrossEntropyLoss(), 1e-3)
model.fit(torch.randn(64, 16), torch.randint(0, 10, (64,)), batch_size=32, epochs=2)
