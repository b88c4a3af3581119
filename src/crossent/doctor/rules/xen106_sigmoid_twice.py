"""binary_cross_entropy_with_logits gets probabilities, or binary_cross_entropy gets logits.

What
    ``binary_cross_entropy_with_logits`` applies the sigmoid itself; a sigmoid before it makes two.
Why
    ``sigmoid(sigmoid(z))`` lies in [0.5, 0.731]: a negative can never score below ``log 2 = 0.693``, a positive
    never below 0.313, and every prediction read at threshold 0.5 is positive.
Bad::

    loss = F.binary_cross_entropy_with_logits(torch.sigmoid(model(x)), multi_hot)  # XEN106

Good::

    loss = F.binary_cross_entropy_with_logits(model(x), multi_hot)
    loss = F.binary_cross_entropy(torch.sigmoid(model(x)), multi_hot)

How it is detected
    The producer of the input is a sigmoid or a softmax. Where the graph is opaque: at least 64 values, all strictly
    between 0 and 1. Logits in ``binary_cross_entropy``: torch refuses values outside [0, 1], which is explained
    here.
False positives
    None known from the graph.
References
    https://docs.pytorch.org/docs/stable/generated/torch.nn.BCEWithLogitsLoss.html
"""

from __future__ import annotations

from crossent.doctor.finding import Found
from crossent.doctor.record import CallRecord

MESSAGE = "binary_cross_entropy_with_logits got {what} ({how}): predictions can only lie in [0.500, 0.731]."
CONSEQUENCE = "a negative never scores below 0.693 and a positive never below 0.313; at threshold 0.5 all are positive."
FIX = "drop the {what_function} before the loss."

MESSAGE_LOGITS = "binary_cross_entropy expects probabilities in [0, 1]; the input ranges from {low:.3g} to {high:.3g}."
CONSEQUENCE_LOGITS = "torch refuses the call."
FIX_LOGITS = "use binary_cross_entropy_with_logits, which takes the logits and is more accurate than sigmoid and log."

ENOUGH = 64


def from_graph(record: CallRecord) -> Found | None:
    kind = record.chain.kind
    if record.function != "binary_cross_entropy_with_logits" or kind not in ("Sigmoid", "Softmax"):
        return None
    if not record.chain.is_exact:
        return None
    return _found("sigmoid" if kind == "Sigmoid" else "softmax", "from the graph", "high")


def from_values(record: CallRecord) -> Found | None:
    if record.function != "binary_cross_entropy_with_logits" or not record.chain.opaque:
        return None
    if record.input.numel() >= ENOUGH and record.low > 0 and record.high < 1:
        return _found(
            "sigmoid", f"all values are in ({record.low:.3g}, {record.high:.3g}); {record.chain.opaque}", "medium"
        )
    return None


def from_error(record: CallRecord) -> Found | None:
    if record.function != "binary_cross_entropy" or not record.rows.numel():
        return None
    if record.low >= 0 and record.high <= 1:
        return None
    return Found({"low": record.low, "high": record.high}, variant="LOGITS")


def _found(function: str, how: str, confidence: str) -> Found:
    return Found({"what": f"{function} output", "what_function": function, "how": how}, confidence)
