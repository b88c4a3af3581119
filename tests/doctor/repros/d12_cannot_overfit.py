report = doctor.overfit(nn.Sequential(model, nn.Sigmoid()), (x, y), F.cross_entropy, steps=30)  # XEN412 XEN105
