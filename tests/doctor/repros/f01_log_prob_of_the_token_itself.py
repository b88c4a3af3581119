hidden = lm.mix(lm.embed(ids))[0]
log_probs = crossent.linear_log_prob(hidden.flatten(0, 1), lm.head.weight, ids.flatten(), linear_bias=lm.head.bias)  # XEN601
(-log_probs.mean()).backward()
