net = nn.Sequential(model, nn.Softmax(dim=1))
loss = nn.NLLLoss()(net(x), y)  # XEN103
loss.backward()
