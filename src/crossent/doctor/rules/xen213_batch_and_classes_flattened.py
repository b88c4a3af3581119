"""Batch and classes were flattened into one dimension.

What
    ``cross_entropy(logits.view(-1), one_hot.view(-1))``: both are 1-D.
Why
    A 1-D input is one sample with as many classes as it has entries, so the softmax runs over the whole batch; no
    error is raised. Where the target is one-hot, its sum is the batch size and not 1.
Bad::

    one_hot = F.one_hot(y, 10).float()
    loss = F.cross_entropy(model(x).view(-1), one_hot.view(-1))  # XEN213

Good::

    one_hot = F.one_hot(y, 10).float()
    loss = F.cross_entropy(model(x), one_hot)

How it is detected
    The input is 1-D and the floating point target does not sum to 1; or a view from more dimensions made it.
False positives
    None for the sum. One unbatched sample with a target that sums to 1 is right.
References
    https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html
"""

from __future__ import annotations

from crossent.doctor.finding import Found
from crossent.doctor.record import CallRecord

MESSAGE = (
    "the input is 1-D ({count} values): it counts as ONE sample with {count} classes; the target sums to {total:.4g}."
)
CONSEQUENCE = "the softmax runs over the whole batch: samples compete with one another."
FIX = "keep the class dimension: logits.reshape(-1, C) with the target in the same shape."


def from_values(record: CallRecord) -> Found | None:
    target = None if record.sample is None else record.sample.target
    if record.input.dim() != 1 or target is None or not target.is_floating_point():
        return None
    total = float(target.sum())
    if abs(total - 1) <= 1e-2:
        return None
    return Found({"count": record.input.numel(), "total": total})
