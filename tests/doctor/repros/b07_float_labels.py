loss = nn.CrossEntropyLoss()(model(x), y.float())  # XEN207
