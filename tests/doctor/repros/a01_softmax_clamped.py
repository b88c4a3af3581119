p = model(x).softmax(1).clamp(1e-7, 1 - 1e-7)
loss = F.cross_entropy(p, y)  # XEN101
