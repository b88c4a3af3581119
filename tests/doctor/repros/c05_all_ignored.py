labels = torch.full_like(ids, -100)
loss = F.cross_entropy(lm(ids).flatten(0, 1), labels.flatten())  # XEN305
