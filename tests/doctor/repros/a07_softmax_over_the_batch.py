loss = F.cross_entropy(F.softmax(model(x), dim=0), y)  # XEN107
