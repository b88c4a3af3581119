"""Class weights that do nothing: only one class in the batch.

What
    ``weight=`` and ``reduction="mean"`` with one sample per batch (or one class in it).
Why
    The mean is ``sum_i w[y_i] l_i / sum_i w[y_i]``. With one label the weight stands above and below and cancels:
    with batch size 1 and gradient accumulation, class weights have no effect at all.
Bad::

    weight = torch.linspace(0.5, 5.0, 10)
    loss = F.cross_entropy(model(x[:1]), y[:1], weight=weight)  # XEN302

Good::

    weight = torch.linspace(0.5, 5.0, 10)
    loss = F.cross_entropy(model(x[:1]), y[:1], weight=weight, reduction="sum") / 1  # batch size

How it is detected
    At the first call of a line: all valid labels are the same, weights are given and not all equal, reduction is
    mean.
False positives
    A first batch that happens to hold one class.
References
    https://github.com/pytorch/pytorch/issues/50528
"""

from __future__ import annotations

from crossent.doctor.finding import Found
from crossent.doctor.record import CallRecord

MESSAGE = (
    "all {count} valid labels of this batch are {label}, so its weight {weight:.4g} stands above and below and cancels."
)
CONSEQUENCE = "the class weights do nothing: the loss equals the unweighted one."
FIX = 'use reduction="sum" divided by the batch size (over all accumulated batches).'


def from_values(record: CallRecord) -> Found | None:
    counted = None if record.sample is None else record.sample.counted
    if record.weight is None or record.reduction != "mean" or counted is None or record.index > 0:
        return None
    if (
        not counted.is_exact
        or not counted.valid
        or counted.low != counted.high
        or not 0 <= counted.low < record.classes
    ):
        return None
    weight = record.weight.detach().reshape(-1)
    if bool((weight == weight[0]).all()) or float(weight[counted.low]) == 0:
        return None
    return Found({"count": counted.valid, "label": counted.low, "weight": float(weight[counted.low])})
