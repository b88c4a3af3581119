"""The target is part of the graph, so the loss trains it too.

What
    A teacher's probabilities, or another branch, are used as a soft target without detach or no_grad.
Why
    The gradient with respect to the target, ``-log_softmax(z)``, is not 0: the teacher drifts towards whatever
    makes the student's task easy, up to a constant answer.
Bad::

    soft = teacher(x).softmax(1)
    loss = F.cross_entropy(model(x), soft)  # XEN209

Good::

    with torch.no_grad():
        soft = teacher(x).softmax(1)
    loss = F.cross_entropy(model(x), soft)

How it is detected
    ``target.requires_grad``.
False positives
    Learned soft labels and symmetric divergences (R-Drop) want this gradient; with kl_div it is therefore a note.
References
    https://docs.pytorch.org/docs/stable/generated/torch.Tensor.detach.html
"""

from __future__ import annotations

from crossent.doctor.finding import Found
from crossent.doctor.record import CallRecord

MESSAGE = "the target of {function} carries gradient{producer}."
CONSEQUENCE = "the branch that makes the target is trained too, towards targets that are easy to predict."
FIX = "compute it under torch.no_grad(), or pass target.detach()."


def from_graph(record: CallRecord) -> Found | None:
    if record.target is None or not record.target.requires_grad:
        return None
    kind = record.target_chain.kind
    producer = f" (it comes from {kind})" if kind and kind != "AccumulateGrad" else ""
    return Found(
        {"function": record.function, "producer": producer}, severity="note" if record.function == "kl_div" else None
    )
