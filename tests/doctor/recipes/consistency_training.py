"""Mean squared error between two softmaxes, and a symmetric KL (R-Drop)."""
dropout = nn.Dropout(0.3)
a, b = model(dropout(x)), model(dropout(x))
mse = F.mse_loss(a.softmax(1), b.softmax(1).detach())
la, lb = a.log_softmax(1), b.log_softmax(1)
rdrop = F.kl_div(la, lb, log_target=True, reduction="batchmean") + F.kl_div(lb, la, log_target=True, reduction="batchmean")
(F.cross_entropy(a, y) + mse + 0.5 * rdrop).backward()
