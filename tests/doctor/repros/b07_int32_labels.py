loss = F.nll_loss(model(x).log_softmax(1), y.int())  # XEN207
