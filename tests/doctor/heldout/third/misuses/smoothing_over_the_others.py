"""Label smoothing written by hand that spreads over V - 1 classes and ignores padding in the loss but not in the mean."""
import torch

from crossent import doctor

torch.manual_seed(360)


def smoothed(logits, target, eps=0.1):
    log_p = logits.log_softmax(-1)
    rows = -(1 - eps) * log_p.gather(1, target[:, None])[:, 0] - eps * log_p.sum(-1)
    return rows.mean()


logits, target = torch.randn(24, 9), torch.randint(0, 9, (24,))
report = doctor.crosscheck(smoothed, logits, target, label_smoothing=0.1)  # XEN409
