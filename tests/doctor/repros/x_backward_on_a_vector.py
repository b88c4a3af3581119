loss = F.cross_entropy(model(x), y, reduction="none")
loss.backward()  # XEN310
