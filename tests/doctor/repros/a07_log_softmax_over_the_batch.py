loss = nn.NLLLoss()(nn.LogSoftmax(dim=0)(model(x)), y)  # XEN107
