"""softmax inside attention, and over mixing weights; logits at the end."""
tokens = torch.randn(8, 6, 20)
weights = (tokens @ tokens.transpose(1, 2) / 20**0.5).softmax(-1)
mixing = nn.Parameter(torch.zeros(2)).softmax(0)
mixed = mixing[0] * (weights @ tokens) + mixing[1] * tokens
loss = F.cross_entropy(model(mixed.mean(1)), y[:8])
loss.backward()
