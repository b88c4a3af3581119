loss = F.nll_loss(torch.log(F.softmax(model(x), 1) + 1e-8), y)  # XEN112
