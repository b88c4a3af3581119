net = nn.Linear(20, 10).bfloat16()
loss = F.cross_entropy(net(x.bfloat16()), y)  # XEN407
