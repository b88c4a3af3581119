loss = F.cross_entropy(model(x), y)
loss.detach().backward()  # XEN111
