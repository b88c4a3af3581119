"""The classes in the batch have a total weight of 0: the mean is NaN.

What
    Class weights hold zeros, and only such classes occur in the batch.
Why
    The mean divides by ``sum_i w[y_i]``, here 0: 0/0 = NaN.
Bad::

    weight = torch.zeros(10)
    weight[9] = 1.0
    loss = F.cross_entropy(model(x), y % 5, weight=weight)  # XEN306

Good::

    weight = torch.full((10,), 1e-3)
    weight[9] = 1.0
    loss = F.cross_entropy(model(x), y % 5, weight=weight)

How it is detected
    ``weight[target].sum() == 0`` over all valid labels.
False positives
    None.
References
    https://github.com/pytorch/pytorch/issues/70348
"""

from __future__ import annotations

import torch

from crossent.doctor.finding import Found
from crossent.doctor.record import CallRecord

MESSAGE = "the {count} valid labels have a total weight of 0 (classes with weight 0: {classes})."
CONSEQUENCE = "the mean is 0/0 = NaN, and one backward makes every parameter NaN."
FIX = 'give every class a positive weight, or use reduction="sum" over a denominator of your own.'


def from_values(record: CallRecord) -> Found | None:
    sample = record.sample
    if record.weight is None or record.reduction != "mean" or sample is None or record.target is None:
        return None
    if sample.counted is None or not sample.counted.valid or not record.has_index_target:
        return None
    weight = record.weight.detach().reshape(-1)
    if bool((weight != 0).all()) or sample.counted.low < 0 or sample.counted.high >= record.classes:
        return None
    with torch.no_grad():
        labels = record.target.detach().reshape(-1)
        if float(weight[labels[labels != record.ignore_index].long()].abs().sum()) != 0:
            return None
    return Found({"count": sample.counted.valid, "classes": (weight == 0).nonzero().reshape(-1)[:8].tolist()})
