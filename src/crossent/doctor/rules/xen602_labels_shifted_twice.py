"""The labels are shifted twice: the model learns the token after the next.

What
    Labels that are shifted already go into a loss, or a model, that shifts them again.
Why
    Position t is trained on token t+2. The loss falls (measured 3.04 against 1.97 on a bigram language) and
    generated text skips tokens. Six libraries had this bug within fifteen months.
Bad::

    labels = ids[:, 1:]
    logits = lm(ids[:, :-1])
    loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())  # XEN602

Good::

    labels = ids[:, 1:]
    loss = F.cross_entropy(lm(ids[:, :-1]).flatten(0, 1), labels.flatten())

How it is detected
    As XEN601, with at least 99 % agreement at offset 2 and less at 1. In ``doctor.batch``: labels[t] equals
    input_ids[t+1] although the model shifts (Hugging Face models do).
False positives
    Multi-token prediction trains offset 2 on purpose.
References
    https://github.com/huggingface/transformers/pull/44642
"""

from __future__ import annotations

from crossent.doctor import alignment
from crossent.doctor.finding import Found
from crossent.doctor.moments import Batch
from crossent.doctor.record import CallRecord

MESSAGE = "the labels equal the input ids {offset} positions further on ({agree:.1%} of {count}){who}."
CONSEQUENCE = "the model is trained on the token after the next."
FIX = "shift once: pass unshifted labels to a model that shifts by itself, or hand it shift_labels=."


def from_values(record: CallRecord) -> Found | None:
    found = alignment.of(record)
    if found is None or found.best != 2:
        return None
    return Found({"offset": 2, "agree": found.agree[2], "count": found.labels, "who": ""}, "medium")


def from_batch(batch: Batch) -> Found | None:
    if batch.labels is None or batch.input_ids is None:
        return None
    wrong = 1 if batch.model_shifts else 2
    found = alignment.compare(batch.input_ids, batch.labels, batch.ignore_index)
    if found is None or found.best != wrong:
        return None
    who = ", and the model shifts again" if batch.model_shifts else ""
    return Found({"offset": wrong, "agree": found.agree[wrong], "count": found.labels, "who": who})
