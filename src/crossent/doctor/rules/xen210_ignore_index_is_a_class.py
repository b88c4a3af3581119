"""ignore_index is a real class.

What
    ``ignore_index=0`` where 0 is a class of its own, not padding.
Why
    Samples of that class are left out of loss and gradient, ``sum_i [y_i != k] l_i / sum_i [y_i != k]``: it is never
    learned. Measured with ten classes and class 0 ignored: none of its samples is recognised, of the others 94 %.
Bad::

    loss = F.cross_entropy(model(x), y, ignore_index=0)  # XEN210

Good::

    loss = F.cross_entropy(model(x), y)

How it is detected
    ignore_index lies in 0..C-1, there are at most 1,000 classes, and between 0 and half of the labels have it; or any
    number of them, where the rows are samples and not positions (a linear layer on 2-D features made them). A note: a
    padding class 0 is common and right; none where an embedding has that padding_idx. With two classes it is a warning,
    however many labels have it: one class is left, and the answer is always the same.
False positives
    Padding with 0 in small vocabularies.
References
    https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html
"""

from __future__ import annotations

from crossent.doctor.finding import Found
from crossent.doctor.record import CallRecord

MESSAGE = (
    "ignore_index={ignore_index} is also class {ignore_index} of {classes}: {count} samples ({share:.1%}) are left out."
)
CONSEQUENCE = "if {ignore_index} is not padding, that class is never learned."
FIX = "use an ignore_index outside 0..{last} (the default is -100) unless {ignore_index} means padding."

CONSEQUENCE_ONE_LEFT = "one class is left: the model learns to answer {left} whatever it sees."


def from_values(record: CallRecord) -> Found | None:
    counted = None if record.sample is None else record.sample.counted
    if counted is None or not 0 <= record.ignore_index < record.classes or record.classes > 1000:
        return None
    if any(embedded.padding_idx == record.ignore_index for embedded in record.embedded):
        return None
    left_out = counted.total - counted.valid
    one_is_left = record.classes == 2 and 0 < left_out < counted.total
    most = counted.total - 1 if _are_samples(record) else counted.total / 2  # of positions most may be padding
    if not one_is_left and not 0 < left_out <= most:
        return None
    evidence = {
        "ignore_index": record.ignore_index, "classes": record.classes, "count": left_out, "last": record.classes - 1,
        "share": left_out / counted.total, "left": 1 - record.ignore_index,
    }  # fmt: skip
    return Found(evidence, "high", "warning", "ONE_LEFT") if one_is_left else Found(evidence, "low")


def _are_samples(record: CallRecord) -> bool:
    """Whether one row is one sample: a layer has made them in this very shape, and no ids were as many."""
    is_layer = record.chain.kind in ("Addmm", "Mm") and not record.chain.steps
    return is_layer and record.input.dim() == 2 and all(e.ids.numel() != record.row_count for e in record.embedded)
