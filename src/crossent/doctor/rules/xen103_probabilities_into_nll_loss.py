"""nll_loss gets probabilities where it expects log-probabilities.

What
    The output of a softmax goes into ``nll_loss``, which only picks the target's entry and changes its sign.
Why
    The loss is then ``-p(target)``: negative, between -1 and 0, ``-1/C`` at the start (-0.0987 measured for 10
    classes). Its gradient is ``p (p - 1)`` at the target and vanishes for examples that are confidently wrong,
    which are those that should teach most; measured on standard normal logits its norm is 0.11 of cross entropy's
    for 10 classes, 0.0014 for 1,000.
Bad::

    loss = F.nll_loss(F.softmax(model(x), dim=1), y)  # XEN103

Good::

    loss = F.nll_loss(F.log_softmax(model(x), dim=1), y)

How it is detected
    The producer of the input is a softmax; or all values are in [0, 1] and the sampled rows sum to 1.
False positives
    ``-nll_loss(p, y, reduction="none")`` reads out p(target) on purpose, so without a reduction, or where no
    gradient can flow, this is a note.
References
    https://docs.pytorch.org/docs/stable/generated/torch.nn.NLLLoss.html
    https://github.com/pytorch/pytorch/issues/10033
"""

from __future__ import annotations

from crossent.doctor.finding import Found
from crossent.doctor.record import CallRecord

MESSAGE = "nll_loss got probabilities ({how}): {what_loss} is -mean p(true) and lies between -1 and 0."
CONSEQUENCE = "examples that are confidently wrong get no gradient; the loss says nothing about likelihood."
FIX = "use log_softmax in place of softmax, or cross_entropy on the logits."


def from_graph(record: CallRecord) -> Found | None:
    if record.chain.kind == "Softmax" and (record.chain.is_exact or record.in_unit_range):
        return _found(record, "they come from a softmax")
    return None


def from_values(record: CallRecord) -> Found | None:
    if record.has_enough_values and record.classes > 1 and record.sums_to_one:
        return _found(
            record, f"rows sum to {float(record.sums.mean()):.4f}, values {record.low:.3g} .. {record.high:.3g}"
        )
    return None


def _found(record: CallRecord, how: str) -> Found:
    loss = record.loss
    is_reading = record.reduction == "none" or not (record.grad_enabled and record.input.requires_grad)
    return Found(
        {"how": how, "loss": loss, "what_loss": "the loss" if loss is None else f"the loss {loss:.3f}"},
        severity="note" if is_reading and record.is_watched else None,
    )
