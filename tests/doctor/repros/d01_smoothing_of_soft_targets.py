soft = teacher(x).detach().softmax(1)
loss = F.cross_entropy(model(x), soft, label_smoothing=0.1)  # XEN401
