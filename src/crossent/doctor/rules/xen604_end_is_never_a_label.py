"""The end-of-text token is never a label.

What
    The padding token is the end-of-text token, and masking the padding masked the true ends, too.
Why
    No position teaches the model to stop: it generates until it is cut off. Measured with texts of 8 tokens, after
    300 steps: where they end, the end has a probability of 0.00014; as a label it has 0.99.
Bad::

    ids[:, 12:] = 2  # the first of them is the true end, the others are padding
    labels = ids.masked_fill(ids == 2, -100)
    report = doctor.batch({"input_ids": ids, "labels": labels}, tokenizer)  # XEN604

Good::

    ids[:, 12:] = 2
    labels = ids.clone()
    labels[:, 13:] = -100
    report = doctor.batch({"input_ids": ids, "labels": labels}, tokenizer)

How it is detected
    ``tokenizer.eos_token_id`` occurs in input_ids and in no valid label.
False positives
    Batches in which every text was cut before its end and eos occurs in the prompt only.
References
    https://github.com/huggingface/transformers/issues/23530
"""

from __future__ import annotations

from crossent.doctor.finding import Found
from crossent.doctor.moments import Batch

MESSAGE = "the end token {eos} stands {count} times in input_ids and is never a label{same}."
CONSEQUENCE = "the model does not learn to stop."
FIX = "mask by attention_mask and not by token id, or give padding a token of its own."


def from_batch(batch: Batch) -> Found | None:
    eos = batch.eos
    if eos is None or batch.input_ids is None or batch.labels is None:
        return None
    count = int((batch.input_ids == eos).sum())
    if not count or bool((batch.labels == eos).any()):
        return None
    same = " (it is the padding token, too)" if batch.pad == eos else ""
    return Found({"eos": eos, "count": count, "same": same})
