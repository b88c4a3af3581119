net = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 10), nn.ReLU())
loss = F.cross_entropy(net(x), y)  # XEN108
