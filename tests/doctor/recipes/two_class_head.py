"""Two outputs for a binary problem."""
net = nn.Linear(20, 2)
loss = F.cross_entropy(net(x), (y > 4).long())
loss.backward()
