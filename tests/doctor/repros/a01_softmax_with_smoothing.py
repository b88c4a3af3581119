loss = F.cross_entropy(model(x).softmax(1), y, label_smoothing=0.1)  # XEN101
