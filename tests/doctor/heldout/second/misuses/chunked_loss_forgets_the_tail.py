"""A loss in chunks of 16 rows that drops the last rows and divides by all of them."""
import torch
import torch.nn.functional as F

from crossent import doctor

torch.manual_seed(237)


def chunked(logits, target, chunk=16):
    total = logits.new_zeros(())
    for i in range(len(logits) // chunk):
        rows = slice(i * chunk, (i + 1) * chunk)
        total = total + F.cross_entropy(logits[rows], target[rows], reduction="sum")
    return total / len(logits)


report = doctor.crosscheck(chunked, torch.randn(40, 11), torch.randint(0, 11, (40,)))  # XEN409
