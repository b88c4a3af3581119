hot = F.one_hot(y, 10).float()
loss = nn.CrossEntropyLoss()(model(x), torch.max(hot, 1)[0].long())  # XEN208
