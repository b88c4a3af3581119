loss = F.cross_entropy(y, model(x))  # XEN206
