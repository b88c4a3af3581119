def mine(logits, target):
    rows = F.cross_entropy(logits, target, reduction="none")
    return rows.mean()  # ignored rows are 0 and counted

labels = torch.where(y < 4, -100, y)
report = doctor.crosscheck(mine, model(x), labels)  # XEN402
