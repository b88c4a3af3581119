"""Categorical over probabilities, as many agents write it."""
policy = torch.distributions.Categorical(probs=F.softmax(model(x), dim=-1))
actions = policy.probs.argmax(1)
loss = -(policy.log_prob(actions) * torch.linspace(-1, 1, 32)).mean() - 0.01 * policy.entropy().mean()
loss.backward()
