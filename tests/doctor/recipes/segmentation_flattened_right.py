"""Permute first, then flatten."""
logits = conv(images).permute(0, 2, 3, 1).reshape(-1, 5)
loss = F.cross_entropy(logits, masks.reshape(-1))
loss.backward()
