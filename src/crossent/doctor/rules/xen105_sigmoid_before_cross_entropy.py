"""cross_entropy gets the output of a sigmoid.

What
    Each score is squeezed into (0, 1) by a sigmoid before ``cross_entropy``.
Why
    As with a softmax, inputs in [0, 1] cannot score better than ``log(1 + (C - 1)/e)`` (1.461 for 10 classes), and
    the gradient is multiplied by ``s (1 - s) <= 1/4`` on its way to the scores.
Bad::

    loss = F.cross_entropy(torch.sigmoid(model(x)), y)  # XEN105

Good::

    loss = F.cross_entropy(model(x), y)  # one label per sample
    loss = F.binary_cross_entropy_with_logits(model(x), multi_hot)  # several labels per sample

How it is detected
    The producer of the input is a sigmoid. Where the graph is opaque: at least 64 values, all strictly between 0
    and 1, rows that do not sum to 1.
False positives
    None known from the graph.
References
    https://docs.pytorch.org/docs/stable/generated/torch.nn.BCEWithLogitsLoss.html
"""

from __future__ import annotations

from crossent.doctor.finding import Found
from crossent.doctor.record import CallRecord

MESSAGE = "cross_entropy got sigmoid output ({how}: values {low:.3g} .. {high:.3g}, rows sum to {row_sum:.3g})."
CONSEQUENCE = (
    "the lowest loss that can be reached with {classes} classes is {floor:.3f}; gradients are at most a quarter."
)
FIX = "one label per sample: pass the logits. Several labels per sample: binary_cross_entropy_with_logits."

ENOUGH = 64


def from_graph(record: CallRecord) -> Found | None:
    return (
        _found(record, "from the graph", "high") if record.chain.kind == "Sigmoid" and record.chain.is_exact else None
    )


def from_values(record: CallRecord) -> Found | None:
    if not record.chain.opaque or record.input.numel() < ENOUGH or record.sums_to_one or record.up_to_constant:
        return None
    if record.low > 0 and record.high < 1:
        return _found(record, f"by their values; {record.chain.opaque}", "medium")
    return None


def _found(record: CallRecord, how: str, confidence: str) -> Found:
    evidence = {
        "how": how, "low": record.low, "high": record.high, "classes": record.classes, "floor": record.floor,
        "row_sum": float(record.sums.mean()) if record.rows.numel() else float("nan"),
    }  # fmt: skip
    return Found(evidence, confidence)
