"""Next-token prediction, flattened."""
logits = lm(ids)
loss = F.cross_entropy(logits[:, :-1].reshape(-1, 50), ids[:, 1:].reshape(-1))
loss.backward()
