"""A loss written by hand lets ignored rows into its sum or its denominator.

What
    Smoothing, masking or averaging by hand that counts positions whose label is ignore_index.
Why
    With smoothing, an ignored row still adds ``-(e/C) sum_c log p_c``; in a denominator, padding makes the mean
    smaller the more of it there is.
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
    ``doctor.crosscheck``: the loss differs from the float64 reference, and equals it where no label is ignored.
False positives
    None known.
References
    https://github.com/pytorch/pytorch/issues/73205
"""

from __future__ import annotations

from crossent.doctor.finding import Found
from crossent.doctor.moments import Crosscheck

MESSAGE = (
    "your loss gives {ours:.6g}, the reference {reference:.6g}, on a batch with {ignored} ignored targets of {count}; "
    "without them the two agree ({ours_without:.6g})."
)
CONSEQUENCE = "ignored positions take part in the sum or in the denominator, so padding changes the loss."
FIX = "divide by the number of valid targets, and multiply every term (smoothing too) by the mask."


def from_crosscheck(moment: Crosscheck) -> Found | None:
    without = moment.without_ignored
    if moment.agrees or without is None or not without.agrees:
        return None
    evidence = {
        "ours": moment.ours, "reference": moment.reference, "ignored": moment.ignored, "count": moment.count,
        "ours_without": without.ours,
    }  # fmt: skip
    return Found(evidence)
