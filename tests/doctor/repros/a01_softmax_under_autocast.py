with torch.autocast("cpu", dtype=torch.bfloat16):
    loss = F.cross_entropy(model(x).softmax(1), y)  # XEN101
loss.backward()
