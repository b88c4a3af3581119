"""mixup: targets are mixtures of two one-hot vectors."""
mix = torch.linspace(0, 1, 32).unsqueeze(1)
hot = F.one_hot(y, 10).float()
target = mix * hot + (1 - mix) * hot.flip(0)
loss = F.cross_entropy(model(x), target)
loss.backward()
