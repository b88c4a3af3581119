"""A loss written by hand lets ignored rows into its sum or its denominator.

What
    Smoothing, masking or averaging by hand that counts positions whose label is ignore_index.
Why
    With smoothing, an ignored row still adds ``-(e/C) sum_c log p_c``; in a denominator, padding makes the mean
    smaller the more of it there is: with 60 % padding, 0.4 of the loss.
Bad::

    def smoothed(logits, target):
        log_probs = logits.log_softmax(1)
        picked = log_probs.gather(1, target.clamp(min=0).unsqueeze(1)).squeeze(1)
        return -(picked * (target != -100)).mean()

    labels = torch.where(y < 3, -100, y)
    report = doctor.crosscheck(smoothed, model(x), labels)  # XEN402

Good::

    labels = torch.where(y < 3, -100, y)
    report = doctor.crosscheck(F.cross_entropy, model(x), labels)

How it is detected
    ``doctor.crosscheck``: the loss differs from the float64 reference, and equals it where no label is ignored. When
    ``backward()`` is called (a warning): the graph shows a mean over all entries of a loss with reduction="none", some
    of whose targets were ignored.
False positives
    A mean over all positions on purpose, so that every position has the same weight in all batches.
References
    https://github.com/pytorch/pytorch/issues/73205
"""

from __future__ import annotations

import math

from crossent.doctor import graph
from crossent.doctor.finding import Found
from crossent.doctor.moments import Backward, Crosscheck

MESSAGE = (
    "your loss gives {ours:.6g}, the reference {reference:.6g}, on a batch with {ignored} ignored targets of {count}; "
    "without them the two agree ({ours_without:.6g})."
)
CONSEQUENCE = "ignored positions take part in the sum or in the denominator, so padding changes the loss."
FIX = "divide by the number of valid targets, and multiply every term (smoothing too) by the mask."

MESSAGE_MEAN = (
    'mean() over {count} losses (reduction="none" at {place}) of which {ignored} are 0, since their target is ignored: '
    "the loss is {share:.1%} of the mean over the others."
)
FIX_MEAN = 'losses.sum() / (target != ignore_index).sum(), or reduction="mean", which divides by the valid ones.'

LOSSES = ("NllLoss", "NllLoss2D", "Loss")


def from_backward(moment: Backward) -> Found | None:
    padded = {loss.total: loss for loss in moment.unreduced if 0 < loss.valid < loss.total}
    if moment.root.grad_fn is None or not padded:
        return None
    for mean in graph.search(moment.root.grad_fn, frozenset({"Mean", *LOSSES}), 60):
        loss = padded.get(_entries(mean))
        if loss is not None:
            evidence = {
                "count": loss.total, "ignored": loss.total - loss.valid, "share": loss.valid / loss.total,
                "place": loss.place,
            }  # fmt: skip
            return Found(evidence, "medium", "warning", "MEAN")
    return None


def _entries(mean: graph.Step) -> int:
    """How many entries of an unreduced loss this is the mean of; 0 if it is none of such."""
    before = graph.above(mean)
    while mean.kind == "Mean" and before.kind == "Mean" and before.producer is not None and before.is_exact:
        mean, before = before.producer, graph.above(before.producer)
    is_of_a_loss = mean.kind == "Mean" and before.kind in LOSSES and before.is_exact
    return math.prod(mean.sizes() or (0,)) if is_of_a_loss else 0


def from_crosscheck(moment: Crosscheck) -> Found | None:
    without = moment.without_ignored
    if moment.agrees or without is None or not without.agrees:
        return None
    evidence = {
        "ours": moment.ours, "reference": moment.reference, "ignored": moment.ignored, "count": moment.count,
        "ours_without": without.ours,
    }  # fmt: skip
    return Found(evidence)
