loss = nn.NLLLoss()(model(x), y)  # XEN104
loss.backward()
