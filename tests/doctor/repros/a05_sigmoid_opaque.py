net = torch.compile(nn.Sequential(model, nn.Sigmoid()), backend="aot_eager")
loss = F.cross_entropy(net(x), y)  # XEN105
