head = nn.Linear(16, 50)
hidden = lm.mix(lm.embed(ids))[0]
loss = crossent.linear_cross_entropy(hidden.reshape(-1, 16), head.weight, ids.reshape(-1), linear_bias=head.bias)  # XEN601
