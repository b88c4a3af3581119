net = nn.Sequential(model, nn.Sigmoid())
loss = nn.BCEWithLogitsLoss()(net(x), multi_hot)  # XEN106
loss.backward()
