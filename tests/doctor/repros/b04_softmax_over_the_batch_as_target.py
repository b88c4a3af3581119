soft = torch.softmax(teacher(x).detach() / 2, dim=0)
loss = F.cross_entropy(model(x), soft)  # XEN204
