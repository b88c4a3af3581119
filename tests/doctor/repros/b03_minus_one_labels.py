labels = torch.where(y == 0, -1, y)
loss = nn.CrossEntropyLoss()(model(x), labels)  # XEN203
