"""The prompt takes part in the loss.

What
    In a batch of prompts and answers every position has a label.
Why
    The model is also trained to write prompts. In one reported case masking them again raised a chat score from
    0.315 to 0.355. For pre-training it is right.
Bad::

    batch = {"input_ids": ids, "labels": ids.clone(), "prompt_lengths": torch.tensor([5, 4, 6, 3])}
    report = doctor.batch(batch)  # XEN605

Good::

    labels = ids.clone()
    for row, length in enumerate((5, 4, 6, 3)):
        labels[row, :length] = -100
    batch = {"input_ids": ids, "labels": labels, "prompt_lengths": torch.tensor([5, 4, 6, 3])}
    report = doctor.batch(batch)

How it is detected
    ``prompt_lengths``, ``prompt_mask`` or ``completion_mask`` in the batch, and valid labels inside the prompts; or
    a tokenizer with a chat template, and no label masked at all. A note: it may be meant.
False positives
    Training on whole conversations.
References
    https://github.com/karpathy/nanochat/pull/582
"""

from __future__ import annotations

from crossent.doctor.finding import Found
from crossent.doctor.moments import Batch

MESSAGE = "{count} prompt positions have labels ({share:.1%} of all loss terms){how}."
CONSEQUENCE = "the model is trained to write prompts, too."
FIX = "set the labels of the prompt to {ignore_index} if only answers are to be learned."


def from_batch(batch: Batch) -> Found | None:
    if batch.labels is None:
        return None
    valid = batch.labels != batch.ignore_index
    terms = int(valid.sum())
    if batch.prompt_mask is not None:
        count = int((valid & batch.prompt_mask).sum())
        how, confidence = "", "high"
    elif batch.has_chat_template and terms == batch.labels.numel():
        count, how, confidence = terms, ": the tokenizer has a chat template and nothing is masked", "low"
    else:
        return None
    if not count:
        return None
    return Found({"count": count, "share": count / terms, "how": how, "ignore_index": batch.ignore_index}, confidence)
