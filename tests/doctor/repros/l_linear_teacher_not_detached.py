hidden = nn.Linear(20, 16)(x)
loss = crossent.linear_cross_entropy(hidden, torch.randn(10, 16), teacher(x).softmax(1))  # XEN209
