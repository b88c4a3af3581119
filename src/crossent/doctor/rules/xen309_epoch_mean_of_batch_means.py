"""An evaluation loss that is the mean of batch means.

What
    ``total += loss.item()`` and ``total / len(loader)``, while batches hold different numbers of valid targets.
Why
    ``mean_b l_b`` in place of ``sum_b n_b l_b / sum_b n_b``: the result depends on the batch size and on the order of
    the data; perplexity, ``exp`` of it, does so more strongly. Losses of 0.5, 0.5 and 2.0 over 64, 64 and 2 targets
    have the mean 1.000 and not 0.523, the perplexity 2.72 and not 1.69.
Bad::

    with torch.no_grad():
        for n in (4, 30, 7, 32):
            loss = F.cross_entropy(10 * torch.eye(10)[y[:n]] * (n > 10), y[:n])  # XEN309

Good::

    with torch.no_grad():
        for n in (4, 30, 7, 32):
            total = F.cross_entropy(10 * torch.eye(10)[y[:n]] * (n > 10), y[:n], reduction="sum")

How it is detected
    Calls of one line without gradients, reduction mean, at least 3 of them, counts that differ by more than 1.2x
    and means that differ by more than 1 %. A note: whether the script averages them cannot be seen.
False positives
    Scripts that weigh the means by their counts.
References
    https://github.com/huggingface/transformers/issues/39241
"""

from __future__ import annotations

import math

from crossent.doctor.finding import Found
from crossent.doctor.moments import Accumulation

MESSAGE = (
    "the mean of {steps} batch means is {plain:.4f}, the mean over all targets {true:.4f} "
    "(perplexity {plain_perplexity:.2f} against {true_perplexity:.2f}); batches hold {low} .. {high} targets."
)
CONSEQUENCE = "an evaluation loss averaged over batches depends on the batch size."
FIX = "add up loss * count and divide by the sum of counts."


def from_evaluation(moment: Accumulation) -> Found | None:
    plain, true = moment.plain_mean, moment.true_mean
    if len(moment.losses) < 3 or max(moment.counts) <= 1.2 * min(moment.counts):
        return None
    if not abs(plain - true) > 0.01 * abs(true):
        return None
    evidence = {
        "steps": len(moment.losses), "plain": plain, "true": true,
        "low": min(moment.counts), "high": max(moment.counts),
        "plain_perplexity": math.exp(min(plain, 700)), "true_perplexity": math.exp(min(true, 700)),
    }  # fmt: skip
    return Found(evidence, "low")
