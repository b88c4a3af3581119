mask = torch.zeros(4, 16, 16)
mask[:, 3:13, 4:12] = 9
wide = sum(mask.roll(shift, 2) for shift in range(4)) / 4  # what another library does
loss = F.cross_entropy(torch.randn(4, 10, 16, 16), wide.long())  # XEN703
