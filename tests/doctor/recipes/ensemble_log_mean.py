"""The logarithm of a mean of softmaxes into nll_loss: an ensemble's likelihood."""
members = torch.stack([model(x).softmax(1), teacher(x).softmax(1)])
loss = F.nll_loss(members.mean(0).log(), y)
loss.backward()
