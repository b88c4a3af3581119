p = torch.softmax(model(x), dim=1)
loss = -torch.log(p)[torch.arange(32), y].mean()
loss.backward()  # XEN112
