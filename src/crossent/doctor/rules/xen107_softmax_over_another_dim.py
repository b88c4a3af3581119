"""softmax or log_softmax ran over a dimension other than the one that holds the classes.

What
    The normalisation went over the batch, or over positions, and the loss reads classes from another dimension.
Why
    Columns sum to 1 and rows do not, so what the loss calls the probabilities of one sample are a competition
    between samples. The loss looks plausible and learns little. ``softmax`` without ``dim`` takes 0 for 1-D and 3-D
    inputs.
Bad::

    loss = F.nll_loss(F.log_softmax(model(x), dim=0), y)  # XEN107

Good::

    loss = F.nll_loss(F.log_softmax(model(x), dim=1), y)

How it is detected
    The saved ``dim`` of the producing softmax is not the loss's class dimension; where views stand between them,
    the rows do not normalise. Where the graph is opaque: another dimension normalises, and the rows do not.
False positives
    softmax over other dimensions is right in attention and for mixing weights; only one that reaches a loss is
    reported.
References
    https://github.com/pytorch/pytorch/issues/37399
"""

from __future__ import annotations

from crossent.doctor.finding import Found
from crossent.doctor.record import CallRecord

MESSAGE = (
    "{softmax} ran over dim {dim} (size {size}), but {function} reads classes from dim {class_dim} (size {classes}): "
    "the rows it sees sum to {row_sum}, not 1."
)
CONSEQUENCE = "samples compete with one another in place of classes; the loss is no likelihood of the labels."
FIX = "write {softmax}(..., dim={right_dim})."

NAMES = {"Softmax": "softmax", "LogSoftmax": "log_softmax"}


def from_graph(record: CallRecord) -> Found | None:
    chain = record.chain
    if chain.kind not in NAMES or chain.producer is None or not chain.is_exact or record.input.dim() < 2:
        return None
    saved = chain.producer.number("dim")
    if not chain.moves_dims and saved is not None:
        dim = saved % record.input.dim()
        return None if dim == record.class_dim else _found(record, NAMES[chain.kind], dim)
    return None if not record.knows_values or _normalises(record) else _found(record, NAMES[chain.kind], saved)


def from_values(record: CallRecord) -> Found | None:
    """Only where the graph does not tell: a dimension other than the classes' normalises, the classes' does not."""
    chain = record.chain
    if chain.kind or record.up_to_constant or not record.has_enough_values or _normalises(record):
        return None
    dim = record.unread_dim if record.rows.numel() else None
    if dim is None or (record.function == "cross_entropy" and not record.in_unit_range):
        return None
    name = "softmax" if record.function == "cross_entropy" else "log_softmax"
    return _found(record, name, dim, confidence="medium")


def _normalises(record: CallRecord) -> bool:
    return record.sums_to_one or record.is_normalised_log


def _found(record: CallRecord, softmax: str, dim: int | None, confidence: str = "high") -> Found:
    sums = record.sums if softmax == "softmax" else record.lses.exp()
    row_sum = f"{float(sums.min()):.3g} .. {float(sums.max()):.3g}" if record.rows.numel() else "something else"
    known = dim is not None and dim < record.input.dim() and not record.chain.moves_dims
    evidence = {
        "softmax": softmax, "function": record.function, "dim": dim, "class_dim": record.class_dim,
        "size": record.shape[dim] if dim is not None and known else "before the reshape", "classes": record.classes,
        "row_sum": row_sum, "right_dim": record.class_dim if known else -1,
    }  # fmt: skip
    return Found(evidence, confidence)
