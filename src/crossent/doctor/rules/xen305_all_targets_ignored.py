"""All targets of the batch are ignored: the mean is NaN.

What
    Every label equals ignore_index.
Why
    The mean is 0/0 = NaN, and one NaN gradient makes every parameter NaN. ``reduction="sum"`` gives 0. Seen causes:
    truncation cut the answer off, the template's marker was not found, a batch without labelled pixels.
Bad::

    loss = F.cross_entropy(model(x), torch.full((32,), -100))  # XEN305

Good::

    labels = torch.full((32,), -100)
    loss = F.cross_entropy(model(x), labels, reduction="sum") / (labels != -100).sum().clamp(min=1)

How it is detected
    No valid label (counted on all of them). More than 95 % ignored is a note.
False positives
    None for the error.
References
    https://github.com/pytorch/pytorch/issues/75181
"""

from __future__ import annotations

from crossent.doctor.finding import Found
from crossent.doctor.record import CallRecord

MESSAGE = "all {count} targets equal ignore_index={ignore_index}: the mean is 0/0 = NaN (a sum would be 0)."
CONSEQUENCE = "one backward makes every parameter NaN."
FIX = (
    "find out why no label is left (truncation? template marker not found?), skip such batches, or use "
    'crossent.cross_entropy(..., if_all_ignored="zero").'
)

MESSAGE_FEW = "{ignored} of {count} targets ({share:.1%}) equal ignore_index={ignore_index}."
CONSEQUENCE_FEW = "few positions carry the whole mean; a batch with none of them would be NaN."
FIX_FEW = "check that the masking is meant; weigh batches by their number of valid targets."


def from_values(record: CallRecord) -> Found | None:
    counted = None if record.sample is None else record.sample.counted
    if counted is None or not counted.is_exact or not counted.total:
        return None
    ignored = counted.total - counted.valid
    evidence = {"count": counted.total, "ignore_index": record.ignore_index, "ignored": ignored}
    if counted.valid:
        share = ignored / counted.total
        return Found({**evidence, "share": share}, severity="note", variant="FEW") if share > 0.95 else None
    return Found(evidence) if record.reduction == "mean" else None
