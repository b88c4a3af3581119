"""Every target of the batch is class 1.

What
    ``torch.max(one_hot, 1)[0]`` returns values, all 1 in a one-hot matrix; ``[1]`` holds the indices.
Why
    The model learns to answer class 1 whatever it sees; the loss falls to 0 quickly.
Bad::

    one_hot = F.one_hot(y, 10).float()
    loss = F.cross_entropy(model(x), torch.max(one_hot, 1)[0].long())  # XEN208

Good::

    one_hot = F.one_hot(y, 10).float()
    loss = F.cross_entropy(model(x), torch.max(one_hot, 1)[1])

How it is detected
    At least 32 targets, more than 2 classes, all targets 1, in this batch and in all that the line had before it.
False positives
    A sorted data set that begins with class 1.
References
    https://docs.pytorch.org/docs/stable/generated/torch.max.html
"""

from __future__ import annotations

from crossent.doctor.finding import Found
from crossent.doctor.record import CallRecord

MESSAGE = "every target in this batch of {count} is 1, of {classes} classes."
CONSEQUENCE = "the model learns to answer 1 whatever it sees."
FIX = "torch.max(t, 1)[0] holds values; the indices are [1], or t.argmax(1). Otherwise shuffle the data."

ENOUGH = 32


def from_values(record: CallRecord) -> Found | None:
    labels = record.labels
    if labels is None or labels.valid < ENOUGH or record.classes <= 2:
        return None
    if any((low, high) != (1, 1) for _, low, high in (*record.earlier, labels)):
        return None
    return Found({"count": labels.valid, "classes": record.classes}, "medium")
