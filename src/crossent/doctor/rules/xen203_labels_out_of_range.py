"""Labels outside 0 .. C-1.

What
    Labels counted from 1, a -1 for "no label", or more classes in the data than in the head.
Why
    torch raises IndexError on the CPU and aborts in a device-side assert on an accelerator, without saying which
    label. Where the head has one output too many, labels counted from 1 raise nothing, and class 0 is never
    learned.
Bad::

    loss = F.cross_entropy(model(x), y + 1)  # XEN203

Good::

    loss = F.cross_entropy(model(x), y)
    loss = F.cross_entropy(model(x), torch.where(y == 3, -1, y), ignore_index=-1)

How it is detected
    Lowest and highest label of a refused call, leaving ignore_index out. As a note: class 0 does not occur among at
    least ``C log(1000 C)`` labels of which all other classes do.
False positives
    None for the error. The note may fire where class 0 is a background that was removed.
References
    https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html
"""

from __future__ import annotations

import math
from typing import cast

from crossent.doctor.finding import Found
from crossent.doctor.record import CallRecord

MESSAGE = (
    "target values lie in [{low}, {high}] but valid are 0..{last} (ignore_index={ignore_index}); "
    "{bad} of {count} are out of range{looks}."
)
CONSEQUENCE = "torch refuses the call; on an accelerator the process dies of a device-side assert."
FIX = "{advice}"

MESSAGE_UNSEEN = "class 0 does not occur among {count} labels, while all other {others} classes do."
CONSEQUENCE_UNSEEN = "if labels count from 1, every prediction is off by one and one output is never used."
FIX_UNSEEN = "check whether labels should be target - 1 with a head of {others} outputs."


def from_error(record: CallRecord) -> Found | None:
    sample = record.sample
    if sample is None or sample.counted is None or record.target is None:
        return None
    low, high, classes = sample.counted.low, sample.counted.high, record.classes
    if not sample.counted.valid or (low >= 0 and high < classes) or not record.is_row_loss:
        return None
    if high == 255 or high >= 2 * classes + 8:
        return None  # XEN701, XEN702
    labels = record.target.detach()
    bad = int((((labels < 0) | (labels >= classes)) & (labels != record.ignore_index)).sum())
    looks, advice = _reading(low, high, classes)
    return Found(
        {
            "low": low, "high": high, "last": classes - 1, "ignore_index": record.ignore_index, "bad": bad,
            "count": labels.numel(), "looks": looks, "advice": advice,
        }
    )  # fmt: skip


def from_values(record: CallRecord) -> Found | None:
    sample = record.sample
    if sample is None or sample.counted is None or sample.counted.low != 1 or record.ignore_index == 0:
        return None
    classes = record.classes
    if (
        classes < 3
        or not sample.counted.is_exact
        or sample.counted.valid < classes * math.log(1000 * classes)
        or record.target is None
    ):
        return None
    labels = record.target.detach()
    if len(set(cast("list[int]", labels[labels != record.ignore_index].reshape(-1).tolist()))) != classes - 1:
        return None
    return Found({"count": sample.counted.valid, "others": classes - 1}, "low", "note", "UNSEEN")


def _reading(low: int, high: int, classes: int) -> tuple[str, str]:
    if low >= 1 and high == classes:
        return "; they count from 1", "write target - 1."
    if low < 0 and high < classes:
        return f"; {low} seems to mean no label", f"write ignore_index={low}."
    return "", f"a head of at least {high + 1} outputs, or labels mapped to 0..{classes - 1}."
