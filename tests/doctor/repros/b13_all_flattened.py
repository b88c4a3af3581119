hot = F.one_hot(y, 10).float()
loss = nn.CrossEntropyLoss()(model(x).flatten(), hot.flatten())  # XEN213
