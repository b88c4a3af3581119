log_probs = F.log_softmax(conv(images).view(-1, 5), dim=1)
loss = F.nll_loss(log_probs, masks.view(-1))  # XEN113
