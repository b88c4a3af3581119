"""Accumulation over unequal token counts, done right: sums over one denominator."""
optimizer = torch.optim.SGD(lm.parameters(), lr=0.1)
labels = [ids[:, 1:].masked_fill(torch.arange(15) >= keep, -100) for keep in (3, 9, 15)]
total = sum(int((part != -100).sum()) for part in labels)
for part in labels:
    loss = F.cross_entropy(lm(ids[:, :-1]).flatten(0, 1), part.flatten(), reduction="sum") / total
    loss.backward()
optimizer.step()
