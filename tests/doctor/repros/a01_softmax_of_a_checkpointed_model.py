from torch.utils.checkpoint import checkpoint

x.requires_grad_()
loss = F.cross_entropy(checkpoint(lambda x: model(x).softmax(1), x, use_reentrant=True), y)  # XEN101
