"""A floating point target whose rows are no probability distribution.

What
    Multi-hot labels, a teacher's logits or unnormalised scores as the target of ``cross_entropy``.
Why
    torch accepts any numbers: ``-sum_c p_c log_softmax(z)_c``. With rows that sum to s the loss is s times as large
    and its lowest value is not reached at p; with negative entries it has no lower bound. Measured with three labels
    of ten in each row and equal logits: 6.9078, three times ``log 10``.
Bad::

    loss = F.cross_entropy(model(x), multi_hot)  # XEN204

Good::

    loss = F.binary_cross_entropy_with_logits(model(x), multi_hot)
    loss = F.cross_entropy(model(x), teacher(x).detach().softmax(1))

How it is detected
    Sums of the sampled rows of the target differ from 1 by more than 1e-3 (1e-2 in 16-bit dtypes), or an entry is
    negative.
False positives
    Rows of zeros that stand for "no label" beside rows that sum to 1 are a note.
References
    https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html
"""

from __future__ import annotations

import torch

from crossent.doctor.finding import Found
from crossent.doctor.record import HALF, CallRecord

MESSAGE = "rows of the floating point target sum to {low:.4g} .. {high:.4g}, not 1{reading}."
CONSEQUENCE = "the loss is no cross entropy: its scale is off by that factor{unbounded}."
FIX = "{advice}"


def from_values(record: CallRecord) -> Found | None:
    target = None if record.sample is None else record.sample.target
    if target is None or not target.is_floating_point() or target.dim() != 2 or record.input.dim() < 2:
        return None  # 1-D input: XEN213
    sums, least = target.sum(1), float(target.min())
    assert record.target is not None
    tolerance = 1e-2 if record.target.dtype in HALF else 1e-3
    off = (sums - 1).abs() > tolerance
    if least >= 0 and not bool(off.any()):
        return None
    only_empty = least >= 0 and bool((sums[off] == 0).all())
    whole = bool((target == target.round()).all())
    reading, advice = _reading(least, whole, only_empty)
    evidence = {
        "low": float(sums.min()), "high": float(sums.max()), "reading": reading, "advice": advice,
        "unbounded": ", and with negative entries it has no lower bound" if least < 0 else "",
    }  # fmt: skip
    return Found(evidence, severity="note" if only_empty and not bool(torch.all(off)) else None)


def _reading(least: float, whole: bool, only_empty: bool) -> tuple[str, str]:
    if least < 0:
        return f" and the lowest entry is {least:.3g}: these look like logits", "pass target.softmax(dim)."
    if only_empty:
        return ": some rows are all 0", "leave those rows out, and divide by the number of the others."
    if whole:
        return ": several labels per sample", "use binary_cross_entropy_with_logits."
    return "", "normalise: target / target.sum(dim, keepdim=True)."
