y = (torch.arange(32) % 3 == 0).long()
loss = F.cross_entropy(nn.Linear(20, 2)(x), y, ignore_index=0)  # XEN210
