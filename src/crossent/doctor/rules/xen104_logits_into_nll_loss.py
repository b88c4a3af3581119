"""nll_loss gets raw scores where it expects log-probabilities.

What
    The output of a linear layer goes into ``nll_loss`` without a log_softmax.
Why
    The loss is ``-z(target)``, which has no lower bound: it falls towards minus infinity while the scores grow.
    Measured on ten clouds of points: -5953 after 200 steps of Adam and 17.7 % right, where cross_entropy gets 94.0 %.
Bad::

    loss = F.nll_loss(model(x), y)  # XEN104

Good::

    loss = F.nll_loss(F.log_softmax(model(x), dim=1), y)
    loss = F.cross_entropy(model(x), y)

How it is detected
    The rows do not normalise: the median of their logsumexp is above 0.05 (it is 0 for log-probabilities; measured
    at most 1e-6 in float32, 1.8e-2 in bfloat16).
False positives
    Parts of a distribution (beams, masked entries) have a logsumexp below 0 and are not reported. Scores whose rows
    sum to more than 1 are no log-probabilities of anything.
References
    https://github.com/pytorch/pytorch/pull/12703
"""

from __future__ import annotations

from crossent.doctor.finding import Found
from crossent.doctor.record import CallRecord

MESSAGE = "nll_loss got unnormalised scores: the rows' logsumexp is {median:.2f} (median; must be 0){producer}."
CONSEQUENCE = "the loss is -score(true) and has no lower bound; it rewards large scores and not right ones."
FIX = "use cross_entropy, or put log_softmax(dim={dim}) before nll_loss."

LOUD = 0.05


def from_values(record: CallRecord) -> Found | None:
    if (
        record.chain.kind in ("LogSoftmax", "Softmax", "Log", "LogSigmoid")
        or record.sums_to_one
        or record.up_to_constant
    ):
        return None
    if not record.rows.numel() or not record.input.numel() >= 8:
        return None
    median = float(record.lses.median())
    if median != median or median <= max(LOUD, record.lse_tolerance):
        return None
    producer = f"; they come from {record.chain.kind}" if record.chain.kind not in ("", "AccumulateGrad") else ""
    return Found({"median": median, "dim": record.class_dim, "producer": producer})
