s = torch.sigmoid(model(x))
loss = -(multi_hot * torch.log(s)).mean()
loss.backward()  # XEN112
