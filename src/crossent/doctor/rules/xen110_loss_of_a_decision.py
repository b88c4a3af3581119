"""The loss is computed from decisions (argmax, round, threshold), through which no gradient flows.

What
    The input of the loss holds whole numbers and carries no gradient, while gradients are on.
Why
    argmax, round and comparisons are piecewise constant. ``backward()`` then fails with "element 0 of tensors does
    not require grad", or, where the loss is one term of several, this term silently teaches nothing.
Bad::

    predictions = F.one_hot(model(x).argmax(1), 10).float()
    loss = F.cross_entropy(predictions, y)  # XEN110

Good::

    loss = F.cross_entropy(model(x), y)

How it is detected
    The graph shows a rounding right before the loss. Or: gradients are enabled, the input does not require one, and all
    sampled values (at least 8) are whole numbers.
    Asked about a loss afterwards, ``doctor(loss)`` reports any loss that has no graph.
False positives
    Integer scores that are evaluated with gradients on; wrap evaluation in ``torch.no_grad()``.
References
    https://docs.pytorch.org/docs/stable/notes/autograd.html
"""

from __future__ import annotations

from typing import cast

from crossent.doctor.finding import Found
from crossent.doctor.record import CallRecord

MESSAGE = (
    "{function} was given decisions in place of scores: all sampled values are whole numbers ({values}), no graph."
)
CONSEQUENCE = "no gradient reaches the model from this loss."
FIX = "pass the scores before argmax, round or threshold; count accuracy with the decisions."

ENOUGH = 8  # whole numbers among so many are none by chance
ROUNDINGS = ("Round", "Floor", "Ceil", "Trunc", "Sign", "Sgn")  # torch gives them the gradient 0

MESSAGE_ROUNDED = "the input of {function} was rounded ({rounding}): its gradient is 0 everywhere."


def from_graph(record: CallRecord) -> Found | None:
    kind = record.chain.kind
    if kind not in ROUNDINGS:
        return None
    return Found({"function": record.function, "rounding": kind.lower()}, variant="ROUNDED")


def from_values(record: CallRecord) -> Found | None:
    if not record.grad_enabled or record.input.requires_grad or record.rows.numel() < ENOUGH:
        return None
    if not record.is_whole_numbers:
        return None
    distinct = sorted(set(cast("list[float]", record.rows.reshape(-1)[:512].tolist())))
    if distinct == [0.0]:
        return None  # a head that starts at zero, looked at without a graph
    values = ", ".join(f"{value:g}" for value in distinct[:4]) + (", ..." if len(distinct) > 4 else "")
    return Found({"function": record.function, "values": values}, "medium")
