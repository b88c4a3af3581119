"""Three heads, three losses, one backward."""
heads = nn.ModuleList(nn.Linear(20, 10) for _ in range(3))
weights = (1.0, 0.5, 0.25)
loss = sum(w * F.cross_entropy(head(x), y) for head, w in zip(heads, weights))
loss.backward()
