loss = F.cross_entropy(lm(ids).transpose(1, 2), ids)  # XEN601
