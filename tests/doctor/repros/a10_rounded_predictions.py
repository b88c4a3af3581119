predictions = torch.sigmoid(model(x)).round().detach()
loss = F.binary_cross_entropy(predictions, multi_hot)  # XEN110
