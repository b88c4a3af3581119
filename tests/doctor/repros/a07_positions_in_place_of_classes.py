log_probs = F.log_softmax(conv(images), dim=-1)
loss = F.nll_loss(log_probs, masks)  # XEN107
