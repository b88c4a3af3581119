loss = F.cross_entropy(model(x), teacher(x).detach())  # XEN204
