logits = model(x).masked_fill(torch.arange(10) > 7, float("-inf"))
loss = F.cross_entropy(logits, F.one_hot(y % 8, 10).float())  # XEN406
