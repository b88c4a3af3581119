with torch.no_grad():
    p = model(x).softmax(1)
    validation = F.cross_entropy(p, y)  # XEN101
