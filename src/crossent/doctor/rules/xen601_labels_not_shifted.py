"""A language model is trained to repeat its input: the labels were not shifted.

What
    The label of each position is the token that stands there, which the model has as its input.
Why
    The model learns to copy: the loss falls to about 0 (measured 0.02 after 100 steps, where predicting the next
    token would cost 7.95) and what it generates is garbage.
Bad::

    loss = F.cross_entropy(lm(ids).flatten(0, 1), ids.flatten())  # XEN601

Good::

    loss = F.cross_entropy(lm(ids)[:, :-1].flatten(0, 1), ids[:, 1:].flatten())

How it is detected
    The token ids that were embedded before the loss are compared with its targets at the same position, one and two
    further: at least 99 % of the valid ones equal the token at offset 0 and fewer do at offset 1. ``doctor.batch``
    compares labels that are passed without a shift only where it is told so (``shifts=False``).
False positives
    Models that are meant to reproduce their input (denoising, copying tasks) without teacher forcing. Masked
    language models label about 15 % of the positions, most of which hold a mask token: not reported.
References
    https://github.com/huggingface/transformers/issues/404
"""

from __future__ import annotations

from crossent.doctor import alignment
from crossent.doctor.finding import Found
from crossent.doctor.moments import Batch
from crossent.doctor.record import CallRecord

MESSAGE = (
    "the labels equal the input ids at the same position ({same:.1%} of {count}; at the next position {next:.1%}): "
    "nothing was shifted."
)
CONSEQUENCE = "the model can copy its input; the loss falls to about 0 and teaches nothing."
FIX = "logits[:, :-1] with labels = input_ids[:, 1:] (Hugging Face models shift inside: pass labels=input_ids there)."


def from_values(record: CallRecord) -> Found | None:
    found = alignment.of(record)
    if found is None or found.best != 0:
        return None
    return Found({"same": found.agree[0], "next": found.agree[1], "count": found.labels}, "medium")


def from_batch(batch: Batch) -> Found | None:
    if batch.model_shifts or batch.labels is None or batch.input_ids is None:
        return None
    found = alignment.compare(batch.input_ids, batch.labels, batch.ignore_index)
    if found is None or found.best != 0:
        return None
    return Found({"same": found.agree[0], "next": found.agree[1], "count": found.labels})
