loss = crossent.cross_entropy(model(x).softmax(1), y)  # XEN101
crossent.CrossEntropyLoss()(model(x).softmax(1), y)  # XEN101
