p = lm(ids)[:, :-1].softmax(-1)
loss = F.cross_entropy(p.reshape(-1, 50), ids[:, 1:].reshape(-1))  # XEN101
