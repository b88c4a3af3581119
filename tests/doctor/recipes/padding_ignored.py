"""A padding index of 0 in the embedding and in the loss."""
embed, head = nn.Embedding(50, 16, padding_idx=0), nn.Linear(16, 50)
ids[:, 11:] = 0
logits = head(embed(ids[:, :-1]))
loss = F.cross_entropy(logits.reshape(-1, 50), ids[:, 1:].reshape(-1), ignore_index=0)
loss.backward()
