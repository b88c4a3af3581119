"""Weights per sample, with reduction none."""
importance = torch.linspace(0.5, 2.0, 32)
loss = (F.cross_entropy(model(x), y, reduction="none") * importance).sum() / importance.sum()
loss.backward()
