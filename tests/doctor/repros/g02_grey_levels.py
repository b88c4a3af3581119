levels = torch.tensor([0, 64, 128, 192, 255])
loss = F.cross_entropy(conv(images), levels[masks])  # XEN702
