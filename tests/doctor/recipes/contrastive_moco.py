"""MoCo: the positive stands first, so all labels are 0."""
q, k = F.normalize(model(x), dim=1), F.normalize(teacher(x), dim=1).detach()
queue = F.normalize(torch.randn(10, 64), dim=0)
logits = torch.cat([(q * k).sum(1, keepdim=True), q @ queue], dim=1) / 0.2
loss = F.cross_entropy(logits, torch.zeros(32, dtype=torch.long))
loss.backward()
