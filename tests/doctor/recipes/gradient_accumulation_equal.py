"""Gradient accumulation over micro-batches of equal size, divided once."""
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for part in range(4):
    rows = slice(8 * part, 8 * part + 8)
    loss = F.cross_entropy(model(x[rows]), y[rows])
    (loss / 4).backward()
optimizer.step()
