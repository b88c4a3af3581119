"""NaN or infinity in the logits.

What
    The input of the loss holds NaN or +inf, or a row that is all -inf.
Why
    One such value makes the loss and every gradient NaN; the next optimizer step destroys all parameters.
Bad::

    logits = model(x).clone()
    logits[5, 3] = torch.nan
    loss = F.cross_entropy(logits, y)  # XEN408

Good::

    loss = F.cross_entropy(model(x), y)

How it is detected
    The loss is not finite: all logits are then looked at, block by block, for the first bad row and class. Where
    the loss is finite or not one number, the sampled rows are.
False positives
    -inf in some classes of a row is a mask and not reported.
References
    https://docs.pytorch.org/docs/stable/autograd.html#anomaly-detection
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from crossent.doctor.finding import Found
from crossent.doctor.record import CallRecord

MESSAGE = (
    "the input of {function} holds {what} ({count} of {looked} values looked at); the first at row {row}, class "
    "{column}."
)
CONSEQUENCE = "loss and gradients are NaN; one optimizer step makes every parameter NaN."
FIX = (
    "find the first module with a bad output (torch.autograd.set_detect_anomaly, forward hooks); lower the "
    "learning rate."
)

BLOCK = 1 << 20


def from_values(record: CallRecord) -> Found | None:
    sample = record.sample
    if sample is None:
        return None
    if record.loss is not None and not math.isfinite(record.loss):
        return _search_all(record)
    bad = _bad(sample.rows)
    return _found(record, sample.rows, bad, sample.rows.numel(), 0) if bool(bad.any()) else None


def _bad(rows: Tensor) -> Tensor:
    return rows.isnan() | (rows == math.inf) | (rows == -math.inf).all(1, keepdim=True)


def _search_all(record: CallRecord) -> Found | None:
    """All rows in blocks of about a million values."""
    with torch.no_grad():
        by_row = record.input.detach().movedim(record.class_dim, -1)
        rows = by_row.reshape(-1, by_row.shape[-1]) if by_row.is_contiguous() else by_row.flatten(0, -2)
        step = max(1, BLOCK // rows.shape[1])
        for start in range(0, rows.shape[0], step):
            block = rows[start : start + step]
            bad = _bad(block)
            if bool(bad.any()):
                return _found(record, block, bad, rows.numel(), start)
    return None


def _found(record: CallRecord, rows: Tensor, bad: Tensor, looked: int, start: int) -> Found:
    row, column = (int(index) for index in bad.nonzero()[0])
    value = float(rows[row, column])
    what = "NaN" if math.isnan(value) else ("+inf" if value > 0 else "rows that are all -inf")
    evidence = {
        "function": record.function, "what": what, "count": int(bad.sum()), "looked": looked, "row": start + row,
        "column": column,
    }  # fmt: skip
    return Found(evidence)
