"""A loss function that disagrees with cross entropy.

What
    A fused kernel or a loss written by hand gives another value or gradient than cross entropy in float64.
Why
    Such faults are silent: a vocabulary that is no multiple of the block size, a soft cap on padding, a dropped
    row. A mean over 40 rows in chunks of 16 that leaves the last 8 out is 0.8 of the loss.
Bad::

    def halved(logits, target):
        return F.cross_entropy(logits, target) * 0.5

    report = doctor.crosscheck(halved, model(x), y)  # XEN409

Good::

    report = doctor.crosscheck(crossent.cross_entropy, model(x), y)

How it is detected
    ``doctor.crosscheck``: value and gradient against the reference in float64. Allowed is ten times what rounding
    in the logits' dtype gives: 1e-5 relative in float32, 5e-2 in bfloat16, 5e-3 in float16.
False positives
    A loss that is meant to be something else.
References
    https://github.com/unslothai/unsloth/issues/10616
"""

from __future__ import annotations

from crossent.doctor.finding import Found
from crossent.doctor.moments import Crosscheck

MESSAGE = (
    "your loss gives {ours:.6g}, the reference (cross entropy in float64) {reference:.6g}; gradient: cosine "
    "{cosine:.6f}, norm {norm_ratio:.4g} of the reference's; {where}."
)
CONSEQUENCE = "{consequence}"
FIX = (
    "compare the row named here by hand; check reductions, ignored rows, class weights and the last, incomplete block."
)


def from_crosscheck(moment: Crosscheck) -> Found | None:
    if moment.agrees or (moment.without_ignored is not None and moment.without_ignored.agrees):
        return None  # XEN402
    fault = "the value is right, its gradient is not." if moment.value_agrees else "another function is minimised."
    evidence = {
        "ours": moment.ours, "reference": moment.reference, "cosine": moment.cosine, "norm_ratio": moment.norm_ratio,
        "where": moment.where,
        "consequence": fault,
    }  # fmt: skip
    return Found(evidence)
