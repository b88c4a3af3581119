optimizer = torch.optim.SGD(lm.parameters(), lr=0.1)
scale = nn.Parameter(torch.ones(()))
for keep in (2, 15, 9, 4):
    labels = ids[:, 1:].masked_fill(torch.arange(15) >= keep, -100)
    logits = lm(ids[:, :-1]) * (1 + keep * torch.arange(50) / 50)
    loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten())  # XEN307
    (loss / 4).backward()
optimizer.step()
