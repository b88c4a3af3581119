net = torch.compile(nn.Sequential(model, nn.Softmax(1)), backend="aot_eager")
loss = F.nll_loss(net(x), y)  # XEN103
