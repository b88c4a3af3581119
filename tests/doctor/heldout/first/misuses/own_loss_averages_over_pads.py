"""A masked loss that divides by all positions."""
import torch

from crossent import doctor

torch.manual_seed(64)


def masked_nll(logits, labels):
    mask = labels != -100
    log_probs = logits.log_softmax(-1)
    picked = log_probs.gather(-1, labels.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    return -(picked * mask).mean()


labels = torch.randint(0, 20, (48,))
labels[::5] = -100
report = doctor.crosscheck(masked_nll, torch.randn(48, 20), labels)  # XEN402
