loss = nn.BCELoss()(model(x), multi_hot)  # XEN106
