loss_fn = crossent.LinearCrossEntropyLoss(16, 50)
hidden = lm.mix(lm.embed(ids[:, :-1]))[0]
labels = ids[:, 1:]
loss = loss_fn(hidden[:, :-1].flatten(0, 1), labels[:, 1:].flatten())  # XEN602
