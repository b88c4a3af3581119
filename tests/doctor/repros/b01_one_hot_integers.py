loss = nn.CrossEntropyLoss()(model(x), F.one_hot(y, num_classes=10))  # XEN201
