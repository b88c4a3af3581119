loss = F.cross_entropy(lm(ids), ids)  # XEN205
