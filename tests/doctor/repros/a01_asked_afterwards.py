loss = F.cross_entropy(model(x).softmax(1), y)  # XEN101
report = doctor(loss)  # XEN101
