"""Distillation with log_target, all in log space."""
with torch.no_grad():
    target = teacher(x).log_softmax(1)
loss = nn.KLDivLoss(reduction="batchmean", log_target=True)(model(x).log_softmax(1), target)
loss.backward()
