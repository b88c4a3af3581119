loss = nn.CrossEntropyLoss()(model(x), y.view(-1, 1))  # XEN202
