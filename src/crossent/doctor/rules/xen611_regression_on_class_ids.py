"""Class ids are trained by regression.

What
    ``mse_loss`` with integer targets: a classifier with ``num_labels=1`` in Hugging Face models falls into it.
Why
    Hugging Face chooses the loss from ``num_labels`` and the labels' dtype, and keeps the choice in the
    configuration: with num_labels=1 it is the mean squared error of the label's number. Class 3 then is three times
    class 1.
Bad::

    loss = F.mse_loss(nn.Linear(20, 1)(x).squeeze(1), y)  # XEN611

Good::

    loss = F.cross_entropy(model(x), y)

How it is detected
    ``mse_loss`` or ``l1_loss`` is called with an integer target. A note: a floating point target of at least 32 values
    that are 0, 1, .., K with K from 2 to 20, all of them present.
False positives
    Counts and grades that are meant as numbers: as floats they get the note at most.
References
    https://github.com/huggingface/transformers/issues/45479
"""

from __future__ import annotations

from typing import cast

from crossent.doctor.finding import Found
from crossent.doctor.record import CallRecord

MESSAGE = "mse_loss got integer targets {shape} {dtype}: class ids are used as numbers."
CONSEQUENCE = "the model regresses label numbers: class 3 is far from class 0 and near class 2, whatever they mean."
FIX = (
    "one output per class and cross_entropy (num_labels=C, problem_type='single_label_classification'); or "
    "target.float()."
)


MESSAGE_FLOATS = "mse_loss got whole numbers 0..{high} as floats: they look like class ids."
CONSEQUENCE_FLOATS = "if they are classes and no quantities, their order and distances mean nothing to learn from."
FIX_FLOATS = "one output per class and cross_entropy, unless the numbers are quantities."

MOST_IDS = 20
ENOUGH = 32


def from_values(record: CallRecord) -> Found | None:
    sample = record.sample
    if sample is None or sample.target is None or not sample.target.is_floating_point():
        return None
    if sample.target.numel() < ENOUGH:
        return None
    ids = set(cast("list[float]", sample.target.reshape(-1).tolist()))
    high = len(ids) - 1
    is_range = 2 <= high <= MOST_IDS and ids == set(range(high + 1))
    return Found({"high": high}, "low", "note", "FLOATS") if is_range else None


def from_graph(record: CallRecord) -> Found | None:
    target = record.target
    if target is None or target.is_floating_point() or target.is_complex():
        return None
    return Found({"shape": tuple(target.shape), "dtype": str(target.dtype).removeprefix("torch.")}, "medium")
