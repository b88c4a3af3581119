"""The loss is divided by the accumulation steps twice.

What
    The script divides the loss by k, and so does the framework: ``accelerator.backward`` and Lightning's automatic
    optimisation divide by the accumulation steps themselves.
Why
    The gradient is ``1/k^2`` of the sum in place of ``1/k``: training is as slow as with a learning rate k times
    smaller.
Bad::

    loss = F.cross_entropy(model(x), y) / 4
    (loss / 4).backward()  # XEN308

Good::

    loss = F.cross_entropy(model(x), y)
    (loss / 4).backward()

How it is detected
    When ``backward()`` is called: two divisions in a row between it and the loss, and together they divide by the
    square of a whole number from 2 on.
False positives
    Two different divisions (by steps and by world size) count only where both are the same number.
References
    https://huggingface.co/docs/accelerate/usage_guides/gradient_accumulation
"""

from __future__ import annotations

import math

from crossent.doctor import graph
from crossent.doctor.finding import Found
from crossent.doctor.moments import Backward

MESSAGE = "the loss {loss:.4f} was divided by {k} twice before backward() ({value:.4f})."
CONSEQUENCE = "the effective gradient is 1/{square} of the loss's in place of 1/{k}."
FIX = "divide once: leave the division to the framework, or do it yourself and not there."

LOSSES = ("NllLoss", "NllLoss2D", "Loss", "BinaryCrossEntropy", "BinaryCrossEntropyWithLogits")


def from_backward(moment: Backward) -> Found | None:
    node, divisions = moment.root.grad_fn, 0
    while node is not None and graph.kind_of(node) == "Div" and len(graph.parents(node)) == 1:
        divisions += 1
        node = graph.parents(node)[0]
    if divisions != 2 or node is None or graph.kind_of(node) not in LOSSES or moment.root.numel() != 1:
        return None
    value = float(moment.root.detach())
    for loss in moment.losses_before:
        ratio = loss.value / value if value else math.nan
        k = round(math.sqrt(ratio)) if ratio > 0 else 0
        if k >= 2 and abs(ratio - k * k) < 1e-4 * k * k:
            return Found({"loss": loss.value, "value": value, "k": k, "square": k * k}, "medium")
    return None
