hidden = nn.Linear(20, 16)(x)
stats = crossent.linear_cross_entropy_with_stats(hidden, torch.randn(10, 16), multi_hot)  # XEN204
