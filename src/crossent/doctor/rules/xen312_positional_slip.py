"""The reduction stands in another argument's place.

What
    ``F.cross_entropy(logits, y, "sum")`` or ``F.cross_entropy(logits, y, None, "none")``.
Why
    The third parameter is the class weight, the fourth ``size_average``, a flag that torch no longer documents. A str
    in the third place is refused; in the fourth any str counts as true, so that the mean comes back in silence,
    whatever was asked for: of 32 rows a loss 32 times smaller than their sum (measured 2.678 against 85.69).
Bad::

    losses = F.cross_entropy(model(x), y, None, "none")  # XEN312

Good::

    losses = F.cross_entropy(model(x), y, reduction="none")

How it is detected
    From the arguments of the call: ``size_average`` or ``reduce`` is a str; or torch refused a weight that is one.
False positives
    None.
References
    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.cross_entropy.html
"""

from __future__ import annotations

from crossent.doctor.finding import Found
from crossent.doctor.record import CallRecord

MESSAGE = "{function} got {came!r} as {place}."
CONSEQUENCE = "any str counts as true there: the reduction is {reduction!r}, not {came!r}."
FIX = "name it: {function}(input, target, reduction={came!r})."

CONSEQUENCE_REFUSED = "torch refuses the call."


def from_graph(record: CallRecord) -> Found | None:
    for place, came in zip(("size_average", "reduce"), record.flags, strict=False):
        if isinstance(came, str):
            evidence = {"function": record.function, "came": came, "place": place, "reduction": record.reduction}
            return Found(evidence)
    return None


def from_error(record: CallRecord) -> Found | None:
    if not isinstance(record.weight, str):
        return None
    return Found({"function": record.function, "came": record.weight, "place": "the weight"}, variant="REFUSED")
