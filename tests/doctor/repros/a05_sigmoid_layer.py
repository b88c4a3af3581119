net = nn.Sequential(model, nn.Sigmoid())
loss = F.cross_entropy(net(x), y)  # XEN105
