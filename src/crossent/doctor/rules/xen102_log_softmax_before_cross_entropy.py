"""log_softmax before cross_entropy does the same work twice.

What
    Log-probabilities go into ``cross_entropy``, which applies log_softmax itself.
Why
    log_softmax is idempotent: ``log_softmax(log_softmax(z)) = log_softmax(z)``, so value and gradient are right. It
    costs one more pass over the logits forward and backward, and one more copy of them kept for backward: 823 MB for
    4096 x 50257 in float32. Measured: with 256 x 1000 logits the two losses differ by 5e-7 at most.
Bad::

    loss = F.cross_entropy(F.log_softmax(model(x), dim=1), y)  # XEN102

Good::

    loss = F.nll_loss(F.log_softmax(model(x), dim=1), y)
    loss = F.cross_entropy(model(x), y)

How it is detected
    The producer of the input is a log_softmax over the class dimension; or, where the graph is opaque, the sampled
    rows' logsumexp is 0 (tolerance 1e-4; 6e-2 in bfloat16, 1e-2 in float16).
False positives
    Log-probabilities that came ready-made (``probs.log()``) are no fault: cross_entropy of them is right.
References
    https://docs.pytorch.org/docs/stable/generated/torch.nn.NLLLoss.html
"""

from __future__ import annotations

from crossent.doctor.finding import Found
from crossent.doctor.record import CallRecord

MESSAGE = "log_softmax before cross_entropy is redundant: applying it twice changes nothing ({how})."
CONSEQUENCE = (
    "none for the result; one pass over {elements:,} logits and {megabytes:.3g} MB kept for backward too many."
)
FIX = "drop the log_softmax, or call nll_loss with it."


def from_graph(record: CallRecord) -> Found | None:
    chain = record.chain
    if chain.kind != "LogSoftmax" or chain.producer is None or not chain.is_exact:
        return None
    dim = chain.producer.number("dim")
    if not chain.moves_dims and dim is not None and dim % record.input.dim() != record.class_dim:
        return None  # XEN107
    if record.knows_values and not record.is_normalised_log:
        return None
    return _found(record, "the input comes from log_softmax")


def from_values(record: CallRecord) -> Found | None:
    if record.chain.opaque and record.has_enough_values and record.is_normalised_log:
        return _found(record, f"the rows' logsumexp is 0; {record.chain.opaque}")
    return None


def _found(record: CallRecord, how: str) -> Found:
    size = record.input.numel() * record.input.element_size()
    return Found({"how": how, "elements": record.input.numel(), "megabytes": size / 1e6})
