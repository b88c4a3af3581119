"""Linear heads without logits: torch's and crossent's, aligned, shifted inside, with padding."""
head = nn.Linear(16, 50)
hidden = lm.mix(lm.embed(ids[:, :-1]))[0]
linear_cross_entropy = getattr(F, "linear_cross_entropy", crossent.linear_cross_entropy)  # torch has it from 2.13 on
loss = linear_cross_entropy(hidden.reshape(-1, 16), head.weight, ids[:, 1:].reshape(-1), linear_bias=head.bias)
loss.backward()
labels = ids.clone()
labels[:, -4:] = -100
hidden = lm.mix(lm.embed(ids))[0]
crossent.linear_cross_entropy(hidden, head.weight, labels, linear_bias=head.bias, shift=1).backward()
getattr(nn, "LinearCrossEntropyLoss", crossent.LinearCrossEntropyLoss)(20, 10)(x, y).backward()
