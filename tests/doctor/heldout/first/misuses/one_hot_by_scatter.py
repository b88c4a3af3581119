"""One-hot labels made by scatter_ into a LongTensor, as for Keras."""
import torch
import torch.nn as nn

torch.manual_seed(7)
batch_size, nb_digits = 16, 10
y = torch.LongTensor(batch_size, 1).random_() % nb_digits
y_onehot = torch.zeros(batch_size, nb_digits, dtype=torch.long)
y_onehot.zero_()
y_onehot.scatter_(1, y, 1)
model = nn.Linear(8, nb_digits)
criterion = nn.CrossEntropyLoss()
output = model(torch.randn(batch_size, 8))
loss = criterion(output, y_onehot)  # XEN201
loss.backward()
