"""crossent's own functions and modules, with options that torch does not have."""
loss = crossent.cross_entropy(lm(ids), ids, class_dim=-1, shift=1, z_loss=1e-4)
loss.backward()
crossent.CrossEntropyLoss(label_smoothing=0.1)(model(x), y).backward()
stats = crossent.cross_entropy_with_stats(model(x), y)
(stats.loss - 0.01 * stats.entropy.mean()).backward()
