"""Next-token prediction with the classes moved to dim 1."""
logits = lm(ids[:, :-1])
loss = F.cross_entropy(logits.transpose(1, 2), ids[:, 1:])
loss.backward()
