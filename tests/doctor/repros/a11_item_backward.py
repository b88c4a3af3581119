loss = F.cross_entropy(model(x), y)
loss.item().backward()  # XEN111
