loss = nn.KLDivLoss()(F.log_softmax(model(x), 1), F.softmax(teacher(x), 1).detach())  # XEN503
