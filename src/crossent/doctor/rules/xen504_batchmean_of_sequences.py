"""batchmean divides by the first dimension only.

What
    ``kl_div(..., reduction="batchmean")`` on (B, T, V) or (N, H, W, C).
Why
    It divides by B and not by B*T: the loss grows with the length of the sequence, to 128 times the divergence of a
    token in sequences of 128.
Bad::

    student, target = lm(ids).log_softmax(-1), lm(ids).detach().softmax(-1) * 0.5 + 0.01
    loss = F.kl_div(student, target, reduction="batchmean")  # XEN504

Good::

    student, target = lm(ids).log_softmax(-1), lm(ids).detach().softmax(-1) * 0.5 + 0.01
    loss = F.kl_div(student.flatten(0, 1), target.flatten(0, 1), reduction="batchmean")

How it is detected
    At least 3 dimensions. A note: a sum over positions may be meant.
False positives
    As said.
References
    https://docs.pytorch.org/docs/stable/generated/torch.nn.KLDivLoss.html
"""

from __future__ import annotations

import math

from crossent.doctor.finding import Found
from crossent.doctor.record import CallRecord

MESSAGE = "batchmean on shape {shape} divides by {batch} and not by the {rows} distributions."
CONSEQUENCE = "the loss is {factor} times that of one distribution and grows with the sequence length."
FIX = "flatten to two dimensions first: kl_div(a.flatten(0, -2), b.flatten(0, -2), reduction='batchmean')."


def from_graph(record: CallRecord) -> Found | None:
    if record.reduction != "batchmean" or record.input.dim() < 3:
        return None
    batch, rows = record.shape[0], math.prod(record.shape[:-1])
    return Found({"shape": record.shape, "batch": batch, "rows": rows, "factor": rows // max(1, batch)}, "medium")
