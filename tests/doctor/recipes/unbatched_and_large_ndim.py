"""One unbatched sample; logits with five dimensions."""
F.cross_entropy(model(x)[0], y[0]).backward()
F.cross_entropy(model(x)[0], F.one_hot(y, 10)[0].float()).backward()
volume = nn.Conv3d(3, 5, 1)(torch.randn(2, 3, 4, 4, 4))
F.cross_entropy(volume, torch.randint(0, 5, (2, 4, 4, 4))).backward()
