p = conv(images).softmax(dim=1)
loss = F.cross_entropy(p, masks)  # XEN101
