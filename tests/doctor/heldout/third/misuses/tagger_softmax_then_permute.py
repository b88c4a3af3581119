"""A tagger that returns probabilities (B, T, C), permuted for nn.CrossEntropyLoss as the forum says."""
import torch
from torch import nn

torch.manual_seed(333)
embed, lstm, tags = nn.Embedding(200, 24), nn.LSTM(24, 24, batch_first=True, bidirectional=True), nn.Linear(48, 9)
criterion = nn.CrossEntropyLoss(ignore_index=-1)
optimizer = torch.optim.Adam([*embed.parameters(), *lstm.parameters(), *tags.parameters()])
for _ in range(3):
    words, gold = torch.randint(1, 200, (8, 17)), torch.randint(0, 9, (8, 17))
    gold[:, 14:] = -1
    probabilities = torch.softmax(tags(lstm(embed(words))[0]), dim=2)
    loss = criterion(probabilities.permute(0, 2, 1), gold)  # XEN101
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
