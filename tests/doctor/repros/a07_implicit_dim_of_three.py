logits = lm(ids[:, :-1])
log_probs = nn.LogSoftmax()(logits)
loss = F.nll_loss(log_probs.reshape(-1, 50), ids[:, 1:].reshape(-1))  # XEN107
