"""kl_div's default reduction divides by the number of classes too.

What
    ``F.kl_div(...)`` or ``nn.KLDivLoss()`` without ``reduction="batchmean"``.
Why
    ``"mean"`` averages over all N*C entries, so the divergence is C times too small: measured 0.171 in place of
    0.857 for 5 classes. In a sum with a cross entropy the distillation term then hardly counts. torch warns of it.
Bad::

    loss = F.kl_div(model(x).log_softmax(1), teacher(x).detach().softmax(1))  # XEN503

Good::

    loss = F.kl_div(model(x).log_softmax(1), teacher(x).detach().softmax(1), reduction="batchmean")

How it is detected
    The reduction is mean and there is more than one class.
False positives
    Scripts that multiply by C afterwards.
References
    https://docs.pytorch.org/docs/stable/generated/torch.nn.KLDivLoss.html
"""

from __future__ import annotations

from crossent.doctor.finding import Found
from crossent.doctor.record import CallRecord

MESSAGE = "kl_div with reduction='mean' divides by N*C{numbers}."
CONSEQUENCE = "the divergence is {classes} times too small."
FIX = "set reduction='batchmean' (and lower its coefficient accordingly)."


def from_values(record: CallRecord) -> Found | None:
    if record.reduction != "mean" or record.input.dim() < 2 or record.classes < 2:
        return None
    loss = record.loss
    numbers = "" if loss is None else f": {loss:.4g}; the divergence per row is {loss * record.classes:.4g}"
    return Found({"numbers": numbers, "classes": record.classes})
