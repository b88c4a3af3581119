"""Gradient accumulation that averages the means of unequal micro-batches.

What
    Each micro-batch's mean is divided by the number of accumulation steps, while micro-batches hold different
    numbers of valid targets (tokens, pixels).
Why
    ``(1/k) sum_j mean_j`` weighs a micro-batch of 10 tokens as much as one of 1,000; the mean over all is ``sum_j
    n_j mean_j / sum_j n_j``. This was a bug of most language model trainers until October 2024.
Bad::

    report = doctor.accumulation([2.9, 1.4, 1.6], [12, 480, 350])  # XEN307

Good::

    report = doctor.accumulation([2.9, 1.4, 1.6], [400, 400, 400])

How it is detected
    From the losses and counts given. Under ``watch``: the calls of one line between two optimizer steps, each
    followed by a backward, reduction mean, counts that differ by more than 1.2x, and means that differ by more than
    1 %.
False positives
    Several losses of different meaning computed by one line in a loop: the confidence is medium while watching.
References
    https://github.com/huggingface/transformers/issues/34191
"""

from __future__ import annotations

from crossent.doctor.finding import Found
from crossent.doctor.moments import Accumulation

MESSAGE = (
    "{steps} micro-batches hold {low} .. {high} valid targets; averaging their means gives {plain:.4f}, the mean over "
    "all targets is {true:.4f} ({off:+.1%})."
)
CONSEQUENCE = "short micro-batches count too much: the gradient is not that of the large batch."
FIX = 'sum the losses (reduction="sum") and divide by the number of valid targets of all micro-batches.'


def from_accumulation(moment: Accumulation) -> Found | None:
    plain, true = moment.plain_mean, moment.true_mean
    if len(moment.losses) < 2 or max(moment.counts) <= 1.2 * min(moment.counts):
        return None
    if not abs(plain - true) > 0.01 * abs(true):
        return None
    evidence = {
        "steps": len(moment.losses), "low": min(moment.counts), "high": max(moment.counts), "plain": plain,
        "true": true, "off": (plain - true) / abs(true),
    }  # fmt: skip
    return Found(evidence, "medium" if moment.is_watched else "high")
