logits = lm(ids)
loss = F.cross_entropy(logits.view(-1, 50), ids.view(-1))  # XEN601
