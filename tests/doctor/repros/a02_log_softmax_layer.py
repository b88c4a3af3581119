net = nn.Sequential(model, nn.LogSoftmax(dim=1))
loss = nn.CrossEntropyLoss()(net(x), y)  # XEN102
