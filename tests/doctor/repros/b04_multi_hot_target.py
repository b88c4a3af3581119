loss = F.cross_entropy(model(x), multi_hot)  # XEN204
