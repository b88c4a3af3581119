hidden = nn.Linear(20, 16)(x)
loss = crossent.linear_cross_entropy(hidden, torch.randn(10, 16), torch.full((32,), -100))  # XEN305
