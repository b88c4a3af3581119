"""A tagger gives (batch, time, tags) to CrossEntropyLoss."""
import torch
import torch.nn as nn

torch.manual_seed(27)
lstm, hidden2tag = nn.LSTM(10, 16, batch_first=True), nn.Linear(16, 9)
loss_function = nn.CrossEntropyLoss()
tag_scores = hidden2tag(lstm(torch.randn(4, 13, 10))[0])
loss = loss_function(tag_scores, torch.randint(0, 9, (4, 13)))  # XEN205
