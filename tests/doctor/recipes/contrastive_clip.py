"""CLIP: a symmetric contrastive loss over cosine similarities with a learned scale."""
scale = nn.Parameter(torch.tensor(2.6592))
a = F.normalize(model(x), dim=1)
b = F.normalize(teacher(x), dim=1)
logits = scale.exp() * a @ b.t()
labels = torch.arange(32)
loss = (F.cross_entropy(logits, labels) + F.cross_entropy(logits.t(), labels)) / 2
loss.backward()
