"""BERT-like: 15 % of the tokens are hidden and predicted."""
hidden = torch.arange(64).reshape(4, 16) % 7 == 0
labels = ids.masked_fill(~hidden, -100)
loss = F.cross_entropy(lm(ids.masked_fill(hidden, 1)).view(-1, 50), labels.view(-1))
loss.backward()
