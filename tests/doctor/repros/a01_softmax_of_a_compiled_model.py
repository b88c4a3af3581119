net = torch.compile(nn.Sequential(model, nn.Softmax(1)), backend="aot_eager")
loss = F.cross_entropy(net(x), y)  # XEN101
