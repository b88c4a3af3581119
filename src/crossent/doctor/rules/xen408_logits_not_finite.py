"""NaN or infinity in the logits.

What
    The input of the loss holds NaN or +inf, or a row that is all -inf.
Why
    One such value makes the loss and every gradient NaN (measured: one of 320 logits, and 210 of 210 entries of a
    layer's gradient): ``log sum_c exp(z_c)`` has all classes of a row in it, and the mean all rows. The next optimizer
    step destroys all parameters.
Bad::

    logits = model(x).clone()
    logits[5, 3] = torch.nan
    loss = F.cross_entropy(logits, y)  # XEN408

Good::

    loss = F.cross_entropy(model(x), y)

How it is detected
    The loss is not finite: all logits are then looked at, block by block, for the first bad row and class. Where
    the loss is finite or not one number, the sampled rows are. For the linear functions the hidden states are. Then the
    parameters in the graph are looked at: whether they are finite tells an earlier step from this one. If they are,
    what the graph has saved for backward tells the first operation with a bad result, and the module that it belongs to
    or comes after (not with torch 2.8; not through checkpointing, offloading and compiled models).
False positives
    -inf in some classes of a row is a mask and not reported.
References
    https://docs.pytorch.org/docs/stable/autograd.html#anomaly-detection
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from crossent.doctor import first_bad, graph
from crossent.doctor.finding import Found
from crossent.doctor.record import CallRecord

MESSAGE = (
    "the input of {function} holds {what} ({count} of {looked} values looked at); the first at row {row}, class "
    "{column}. {parameters}"
)
CONSEQUENCE = "loss and gradients are NaN; one optimizer step makes every parameter NaN."
FIX = (
    "where parameters are broken, lower the learning rate or clip gradients; else guard the operation named here "
    "against its arguments (a division by 0, the logarithm of 0, an exponential above 88), or check the inputs."
)

BLOCK = 1 << 20
MOST_NODES = 5000


def from_values(record: CallRecord) -> Found | None:
    sample = record.sample
    if sample is None:
        return None
    if record.loss is not None and not math.isfinite(record.loss):
        return _search_all(record)
    if record.hidden is not None and record.loss is None:  # the rows of this sample were never made
        return _search_all(record) if sample.has_nan else None
    if math.isfinite(record.low) and math.isfinite(record.high):
        return None
    bad = _bad(sample.rows)
    return _found(record, sample.rows, bad, sample.rows.numel(), 0) if bool(bad.any()) else None


def _bad(rows: Tensor) -> Tensor:
    return rows.isnan() | (rows == math.inf) | (rows == -math.inf).all(1, keepdim=True)


def _search_all(record: CallRecord) -> Found | None:
    """All rows in blocks of about a million values."""
    with torch.no_grad():
        by_row = record.source.detach().movedim(record.class_dim if record.hidden is None else -1, -1)
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
        "column": column, "parameters": _parameters(record),
    }  # fmt: skip
    return Found(evidence)


def _parameters(record: CallRecord) -> str:
    """Whether the parameters that made the input are finite themselves."""
    leaves = graph.leaves(record.source.grad_fn, MOST_NODES) if record.source.grad_fn is not None else None
    if not leaves:
        return ""
    bad = [leaf for leaf in leaves if not bool(leaf.detach().isfinite().all())]
    if not bad:
        first = None if "XEN408" in record.known else first_bad.origin(record.source, record.model)
        cause = "the inputs or an operation made it" if first is None else str(first)
        return f"All {len(leaves)} parameters in its graph are finite: {cause}."
    names = {} if record.model is None else {id(value): name for name, value in record.model.named_parameters()}
    first = names.get(id(bad[0]), f"of shape {tuple(bad[0].shape)}")
    return f"{len(bad)} of {len(leaves)} parameters in its graph are not finite (one is {first}): a step broke them."
