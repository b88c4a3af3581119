def loss_of_a_model_that_shifts(logits, labels):
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())  # XEN602

inputs, labels = ids[:, :-1], ids[:, 1:]
loss = loss_of_a_model_that_shifts(lm(inputs), labels)
