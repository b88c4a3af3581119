"""Logits of minus infinity to which the target gives mass.

What
    Masked classes (-inf logits) together with label smoothing or soft targets.
Why
    Smoothing puts e/C on every class, also on those with probability 0: ``-(e/C) log 0 = inf``. A soft target with
    a 0 there gives ``0 * -inf = NaN``.
Bad::

    logits = model(x).masked_fill(torch.arange(10) == 7, -torch.inf)
    loss = F.cross_entropy(logits, y % 7, label_smoothing=0.1)  # XEN406

Good::

    logits = model(x).masked_fill(torch.arange(10) == 7, -torch.inf)
    loss = F.cross_entropy(logits, y % 7)

How it is detected
    A sampled logit is -inf (or at most -1e30), and label_smoothing is above 0 or the target is soft; or the label's
    own logit is -inf.
False positives
    None.
References
    https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html
"""

from __future__ import annotations

import torch

from crossent.doctor.finding import Found
from crossent.doctor.record import CallRecord

MESSAGE = "{count} of {classes} logit columns are {what}, and {mass}: the loss is {result}."
CONSEQUENCE = "inf or NaN in loss and gradient, or a loss of the order of the mask's value."
FIX = "{advice}"

AS_GOOD_AS_INFINITE = -1e30


def from_values(record: CallRecord) -> Found | None:
    sample = record.sample
    if sample is None or sample.target is None or not record.rows.numel() or record.low > AS_GOOD_AS_INFINITE:
        return None
    masked = sample.rows <= AS_GOOD_AS_INFINITE
    masked &= ~masked.all(1, keepdim=True)
    columns = int(masked.any(0).sum())
    found = None
    if record.label_smoothing > 0:
        share = record.label_smoothing / record.classes
        found = (
            f"label_smoothing={record.label_smoothing} puts {share:.2e} on each",
            "smooth over the allowed classes only.",
        )
    elif sample.target.is_floating_point():
        found = ("the target is soft", "use a finite mask, e.g. -1e4, or torch.where the products.")
    elif _own(sample.rows, sample.target, record.ignore_index) <= AS_GOOD_AS_INFINITE:
        found = ("a label is one of the masked classes", "do not mask the label's own class.")
    if found is None or not columns:
        return None
    evidence = {
        "count": columns, "classes": record.classes,
        "what": "-inf" if record.low == -torch.inf else f"{record.low:.3g}",
        "mass": found[0], "advice": found[1], "result": "not read" if record.loss is None else f"{record.loss:.4g}",
    }  # fmt: skip
    return Found(evidence)


def _own(rows: torch.Tensor, target: torch.Tensor, ignore_index: int) -> float:
    read = (target != ignore_index) & (target >= 0) & (target < rows.shape[1])
    if not bool(read.any()):
        return 0.0
    return float(rows[read].gather(1, target[read].unsqueeze(1)).min())
