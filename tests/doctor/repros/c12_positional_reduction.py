loss = F.cross_entropy(model(x), y, "sum")  # XEN312
