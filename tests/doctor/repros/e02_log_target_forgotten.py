target = F.log_softmax(teacher(x), 1).detach()
loss = nn.KLDivLoss(reduction="batchmean")(F.log_softmax(model(x), 1), target)  # XEN502
