"""A policy's log-probabilities of sampled tokens and of a teacher's candidates, from its hidden states."""
advantage = torch.randn(4, 16)
hidden = lm.mix(lm.embed(ids))[0]
log_prob = crossent.linear_log_prob(hidden, lm.head.weight, ids, linear_bias=lm.head.bias, shift=1)
policy = -(advantage * log_prob)[:, 1:].mean()
candidates = torch.randint(0, 50, (4, 16, 5))
several = crossent.linear_log_prob(hidden, lm.head.weight, candidates, linear_bias=lm.head.bias, shift=1)
kept = torch.softmax(torch.randn(4, 16, 5), -1)
distilled = -(kept * several)[:, 1:].sum(-1).mean()
F.cross_entropy(lm.head(hidden)[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
(policy + distilled).backward()
