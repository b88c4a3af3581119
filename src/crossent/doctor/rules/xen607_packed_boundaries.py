"""In packed sequences, a document's last token predicts the next document's first.

What
    Several documents in one row, with labels across their boundaries.
Why
    Nothing in a document announces the next one, so these positions teach noise; with attention kept inside
    documents, the first token has no context at all. One project measured 44.1 against 37.6 on its benchmark.
Bad::

    positions = torch.arange(16).remainder(8).expand(4, 16)
    report = doctor.batch({"input_ids": ids, "labels": ids.clone(), "position_ids": positions})  # XEN607

Good::

    positions = torch.arange(16).remainder(8).expand(4, 16)
    labels = ids.masked_fill(positions == 0, -100)
    report = doctor.batch({"input_ids": ids, "labels": labels, "position_ids": positions})

How it is detected
    ``position_ids`` return to 0 after the first position, and the (unshifted) label there is not ignore_index.
False positives
    None known.
References
    https://github.com/huggingface/trl sets labels[position_ids == 0] = -100 when packing.
"""

from __future__ import annotations

from crossent.doctor.finding import Found
from crossent.doctor.moments import Batch

MESSAGE = "{documents} packed documents: at {count} boundaries the last token predicts the next document's first."
CONSEQUENCE = "these terms teach noise."
FIX = "labels[position_ids == 0] = {ignore_index}."


def from_batch(batch: Batch) -> Found | None:
    positions, labels = batch.position_ids, batch.labels
    if positions is None or labels is None or positions.shape != labels.shape or positions.dim() != 2:
        return None
    starts = positions[:, 1:] == 0
    label_at = labels[:, 1:] if batch.model_shifts else labels[:, :-1]
    count = int((starts & (label_at != batch.ignore_index)).sum())
    if not count:
        return None
    documents = int(starts.sum()) + positions.shape[0]
    return Found({"documents": documents, "count": count, "ignore_index": batch.ignore_index})
