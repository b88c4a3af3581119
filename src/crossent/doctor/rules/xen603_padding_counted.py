"""Padding takes part in the loss.

What
    Padded positions have a label other than ignore_index, usually the padding token.
Why
    The model is trained to predict padding after padding, which is easy: the loss looks low and real tokens weigh
    less. In one reported case 90 % of the loss terms were padding.
Bad::

    ids[:, 10:] = 0
    batch = {"input_ids": ids, "attention_mask": (ids != 0).long(), "labels": ids.clone()}
    report = doctor.batch(batch)  # XEN603

Good::

    ids[:, 10:] = 0
    mask = (ids != 0).long()
    batch = {"input_ids": ids, "attention_mask": mask, "labels": ids.masked_fill(mask == 0, -100)}
    report = doctor.batch(batch)

How it is detected
    In ``doctor.batch``: attention_mask is 0 and the label is not ignore_index. While watching: the embedding has a
    ``padding_idx`` that is also a valid label, at the end of the rows.
False positives
    None in a batch with an attention mask.
References
    https://github.com/huggingface/transformers/issues/32832
"""

from __future__ import annotations

from crossent.doctor import alignment
from crossent.doctor.finding import Found
from crossent.doctor.moments import Batch
from crossent.doctor.record import CallRecord

MESSAGE = (
    "{count} padded positions ({share:.1%} of all loss terms) have label {label}, not ignore_index={ignore_index}."
)
CONSEQUENCE = "the model is trained on padding; the loss looks lower than it is."
FIX = "{advice}"


def from_values(record: CallRecord) -> Found | None:
    found = alignment.padded(record)
    if found is None:
        return None
    count, share, padding = found
    evidence = {
        "count": count, "share": share, "label": padding, "ignore_index": record.ignore_index,
        "advice": f"pass ignore_index={padding}, or set those labels to {record.ignore_index}.",
    }  # fmt: skip
    return Found(evidence, "medium")


def from_batch(batch: Batch) -> Found | None:
    if batch.labels is None or batch.attention_mask is None or batch.attention_mask.shape != batch.labels.shape:
        return None
    counted = (batch.attention_mask == 0) & (batch.labels != batch.ignore_index)
    if not bool(counted.any()):
        return None
    terms = int((batch.labels != batch.ignore_index).sum())
    evidence = {
        "count": int(counted.sum()), "share": int(counted.sum()) / terms, "label": int(batch.labels[counted][0]),
        "ignore_index": batch.ignore_index, "advice": f"labels[attention_mask == 0] = {batch.ignore_index}.",
    }  # fmt: skip
    return Found(evidence)
