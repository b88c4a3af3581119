"""A head that starts at zero: all logits are equal, the first loss is log C exactly."""
head = nn.Linear(20, 10)
nn.init.zeros_(head.weight)
nn.init.zeros_(head.bias)
loss = F.cross_entropy(head(x), y)
loss.backward()
