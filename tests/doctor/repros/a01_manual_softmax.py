z = model(x)
p = z.exp() / z.exp().sum(1, keepdim=True)
loss = F.cross_entropy(p, y)  # XEN101
