loss = nn.KLDivLoss(reduction="batchmean")(F.softmax(model(x), 1), F.softmax(teacher(x), 1).detach())  # XEN501
