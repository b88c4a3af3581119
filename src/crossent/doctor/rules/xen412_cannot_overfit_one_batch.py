"""The model cannot learn one batch by heart.

What
    A copy of the model is trained on a single batch; a sound model, loss and optimizer bring the loss close to 0.
Why
    A loss that stays up says that logits, labels or the path of the gradient are wrong. A loss that settles within
    5 % of ``log(1 + (C - 1)/e)`` says that probabilities are passed as logits.
Bad::

    def double(logits, target):
        return F.cross_entropy(logits.softmax(1), target)  # XEN101

    report = doctor.overfit(model, (x, y), double)  # XEN412

Good::

    report = doctor.overfit(model, (x, y), F.cross_entropy)

How it is detected
    ``doctor.overfit``, never by itself: 100 steps of Adam on a deep copy; the last loss is above a tenth of the
    first. The random number generators and the model are left as they were.
False positives
    Heavy dropout, or identical inputs with different labels.
References
    Karpathy, "A Recipe for Training Neural Networks" (2019): overfit one batch.
"""

from __future__ import annotations

import math

from crossent.doctor.finding import Found
from crossent.doctor.moments import Overfit

MESSAGE = "after {steps} steps of Adam on one batch the loss is {last:.4f} (it was {first:.4f}){floor}."
CONSEQUENCE = "what cannot learn one batch by heart will not learn the data."
FIX = "{advice}"


def from_overfit(moment: Overfit) -> Found | None:
    if moment.last < 0.1 * moment.first or moment.last <= 1e-3:
        return None
    lowest = math.log1p((moment.classes - 1) / math.e)
    at_floor = moment.classes > 1 and abs(moment.last - lowest) < 0.05 * lowest
    floor = f"; log(1 + (C - 1)/e) = {lowest:.4f} is the floor of probabilities passed as logits" if at_floor else ""
    advice = (
        "drop the softmax or sigmoid before cross_entropy."
        if at_floor
        else "look at labels, at the path of the gradient (detach?), at the learning rate."
    )
    evidence = {"steps": moment.steps, "first": moment.first, "last": moment.last, "floor": floor, "advice": advice}
    return Found(evidence, "high" if at_floor else "medium")
