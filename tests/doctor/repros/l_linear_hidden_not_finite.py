hidden = nn.Linear(20, 16)(x).clone()
hidden[7, 2] = torch.nan
loss = crossent.linear_cross_entropy(hidden, torch.randn(10, 16), y)  # XEN408
