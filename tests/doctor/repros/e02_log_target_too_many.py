target = F.softmax(teacher(x), 1).detach()
loss = F.kl_div(F.log_softmax(model(x), 1), target, reduction="batchmean", log_target=True)  # XEN502
