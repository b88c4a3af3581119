loss = F.binary_cross_entropy_with_logits(model(x), torch.sigmoid(teacher(x)))  # XEN209
