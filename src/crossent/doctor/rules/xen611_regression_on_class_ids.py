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
    ``mse_loss`` or ``l1_loss`` is called with an integer target.
False positives
    Counts that are meant as numbers: convert them to float.
References
    https://github.com/huggingface/transformers/issues/45479
"""

from __future__ import annotations

from crossent.doctor.finding import Found
from crossent.doctor.record import CallRecord

MESSAGE = "mse_loss got integer targets {shape} {dtype}: class ids are used as numbers."
CONSEQUENCE = "the model regresses label numbers: class 3 is far from class 0 and near class 2, whatever they mean."
FIX = (
    "one output per class and cross_entropy (num_labels=C, problem_type='single_label_classification'); or "
    "target.float()."
)


def from_graph(record: CallRecord) -> Found | None:
    target = record.target
    if target is None or target.is_floating_point() or target.is_complex():
        return None
    return Found({"shape": tuple(target.shape), "dtype": str(target.dtype).removeprefix("torch.")}, "medium")
