losses = []
with torch.no_grad():
    for start, stop in ((0, 12), (12, 24), (24, 28), (28, 32)):
        logits = model(x[start:stop]) * (1 + start)
        losses.append(F.cross_entropy(logits, y[start:stop]).item())  # XEN309
epoch = sum(losses) / len(losses)
