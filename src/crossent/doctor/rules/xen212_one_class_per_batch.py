"""Each batch holds the labels of one class only.

What
    The data are sorted by class and not shuffled; or all labels became the same number, as a mask of small class ids
    does after a division by 255 and ``.long()``.
Why
    The gradient of such a batch pulls all answers towards its class, the next one's towards another: the loss of each
    falls while nothing is learned that tells classes apart, and batch normalisation sees one class at a time. Measured
    with 20 batches of each of ten classes in turn: 26.8 % right, with the same rows shuffled 95.0 %.
Bad::

    order = torch.arange(96) // 32
    for labels in order.split(32):
        loss = F.cross_entropy(model(x), labels)  # XEN212

Good::

    order = (torch.arange(96) // 32)[torch.randperm(96)]
    for labels in order.split(32):
        loss = F.cross_entropy(model(x), labels)

How it is detected
    Three calls of a line in a row, each with at least 16 valid labels that are all the same. Not reported: always 0
    with one label per sample, which contrastive losses have, and always 1 (XEN208).
False positives
    A note: the two halves of an adversarial loss that share a line, and tasks that come one after another, look the
    same and are meant.
References
    https://docs.pytorch.org/docs/stable/data.html#data-loading-order-and-sampler
"""

from __future__ import annotations

from crossent.doctor.finding import Found
from crossent.doctor.record import CallRecord

MESSAGE = "in each of {batches} batches all labels are the same: {values}, of {classes} classes."
CONSEQUENCE = "batches pull the model towards one class after another; classes are not told apart."
FIX = "shuffle the data (DataLoader(..., shuffle=True))."

CONSEQUENCE_SAME = "the model learns to answer {values} whatever it sees."
FIX_SAME = "look at what makes the labels: a division before .long() turns all of them into 0."

BATCHES, ENOUGH = 3, 16


def from_values(record: CallRecord) -> Found | None:
    if record.labels is None or record.classes < 2:
        return None
    batches = [*record.earlier, record.labels][-BATCHES:]
    if len(batches) < BATCHES or not all(labels.is_one_class and labels.valid >= ENOUGH for labels in batches):
        return None
    values = sorted({labels.low for labels in batches})
    if values == [1] or (values == [0] and record.input.dim() < 3):
        return None
    evidence = {"batches": BATCHES, "values": ", ".join(str(value) for value in values), "classes": record.classes}
    return Found(evidence, "medium", variant="SAME" if len(values) == 1 else "")
