"""The two-step form: log_softmax in the model, nll_loss outside."""
net = nn.Sequential(nn.Linear(20, 10), nn.LogSoftmax(dim=1))
loss = nn.NLLLoss()(net(x), y)
loss.backward()
