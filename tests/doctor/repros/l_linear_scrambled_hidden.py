features = nn.Conv1d(20, 16, 1)(torch.randn(4, 20, 8))
loss = crossent.linear_cross_entropy(features.view(-1, 16), torch.randn(10, 16), y)  # XEN113
