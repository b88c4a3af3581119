"""A bfloat16 model whose logits are cast up before the loss."""
net = nn.Linear(20, 10).bfloat16()
loss = F.cross_entropy(net(x.bfloat16()).float(), y)
loss.backward()
