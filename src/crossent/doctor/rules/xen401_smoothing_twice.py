"""Label smoothing on targets that are soft already.

What
    Soft targets (mixup, a teacher, smoothing done by hand) together with ``label_smoothing=``.
Why
    Smoothing replaces p by ``(1 - e) p + e/C``; on a target that holds the same mixture already, e counts twice.
Bad::

    soft = torch.full((32, 10), 0.01).scatter_(1, y.unsqueeze(1), 0.91)
    loss = F.cross_entropy(model(x), soft, label_smoothing=0.1)  # XEN401

Good::

    loss = F.cross_entropy(model(x), y, label_smoothing=0.1)

How it is detected
    A floating point target that is not one-hot, and label_smoothing above 0. A note.
False positives
    Both may be meant.
References
    https://arxiv.org/abs/1906.02629
"""

from __future__ import annotations

from crossent.doctor.finding import Found
from crossent.doctor.record import CallRecord

MESSAGE = (
    "the target is soft already (largest entry per row {top:.3f} on average) and label_smoothing={smoothing} "
    "softens it again."
)
CONSEQUENCE = "the model is asked for {final:.3f} on the labelled class."
FIX = "set label_smoothing=0 where targets are soft."


def from_values(record: CallRecord) -> Found | None:
    target = None if record.sample is None else record.sample.target
    if target is None or not target.is_floating_point() or target.dim() != 2 or record.label_smoothing <= 0:
        return None
    if bool((target == target.round()).all()):
        return None
    top, smoothing = float(target.amax(1).mean()), record.label_smoothing
    final = (1 - smoothing) * top + smoothing / record.classes
    return Found({"top": top, "smoothing": smoothing, "final": final})
