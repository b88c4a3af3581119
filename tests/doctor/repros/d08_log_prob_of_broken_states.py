hidden = lm.mix(lm.embed(ids))[0]
hidden = hidden / (hidden - hidden)
crossent.linear_log_prob(hidden, lm.head.weight, ids, linear_bias=lm.head.bias, shift=1)  # XEN408
