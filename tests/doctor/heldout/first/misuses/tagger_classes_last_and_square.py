"""The same with as many steps as tags: torch accepts it, and softmax runs over time."""
import torch
import torch.nn as nn

torch.manual_seed(28)
lstm, hidden2tag = nn.LSTM(10, 16, batch_first=True), nn.Linear(16, 12)
loss_function = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD([*lstm.parameters(), *hidden2tag.parameters()], lr=0.1)
for sentence in range(2):
    tag_scores = hidden2tag(lstm(torch.randn(4, 12, 10))[0])
    loss = loss_function(tag_scores, torch.randint(0, 12, (4, 12)))  # XEN205
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
