weight = torch.ones(10)
weight[:5] = 0
loss = F.cross_entropy(model(x), y % 5, weight=weight)  # XEN306
