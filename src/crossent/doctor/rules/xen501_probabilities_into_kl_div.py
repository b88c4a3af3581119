"""kl_div gets probabilities where it expects log-probabilities.

What
    ``F.kl_div(softmax(student), softmax(teacher))``. The first argument has to be log-probabilities.
Why
    ``kl_div`` computes ``target * (log target - input)``. With a probability as input the result is negative
    (measured -1.41), which no divergence can be, and its gradient is the constant ``-target``.
Bad::

    loss = F.kl_div(model(x).softmax(1), teacher(x).detach().softmax(1), reduction="batchmean")  # XEN501

Good::

    loss = F.kl_div(model(x).log_softmax(1), teacher(x).detach().softmax(1), reduction="batchmean")

How it is detected
    The producer of the input is a softmax; or its values are in [0, 1] and rows sum to 1.
False positives
    None known.
References
    https://docs.pytorch.org/docs/stable/generated/torch.nn.KLDivLoss.html
"""

from __future__ import annotations

from crossent.doctor.finding import Found
from crossent.doctor.record import CallRecord

MESSAGE = "the input of kl_div must be log-probabilities; it got probabilities ({how}){negative}."
CONSEQUENCE = "the value is no divergence, and the gradient does not depend on the student."
FIX = "kl_div(log_softmax(student), softmax(teacher), reduction='batchmean'): the student first."


def from_graph(record: CallRecord) -> Found | None:
    is_softmax = record.chain.kind == "Softmax" and record.chain.is_exact
    return _found(record, "from a softmax") if is_softmax else None


def from_values(record: CallRecord) -> Found | None:
    if record.has_enough_values and record.sums_to_one and record.classes > 1:
        return _found(record, f"rows sum to {float(record.sums.mean()):.4f}")
    return None


def _found(record: CallRecord, how: str) -> Found:
    loss = record.loss
    negative = f"; its result {loss:.3f} is below 0" if loss is not None and loss < 0 else ""
    return Found({"how": how, "negative": negative})
