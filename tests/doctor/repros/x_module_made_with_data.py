loss = nn.CrossEntropyLoss(model(x), y)  # XEN314
