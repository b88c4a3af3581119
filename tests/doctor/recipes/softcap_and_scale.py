"""Gemma's soft cap, and cosine logits with a temperature."""
logits = model(x)
F.cross_entropy(30.0 * torch.tanh(logits / 30.0), y).backward()
cosine = F.normalize(x, dim=1) @ F.normalize(model.weight, dim=1).t()
F.cross_entropy(cosine / 0.1, y).backward()
