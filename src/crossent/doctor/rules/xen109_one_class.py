"""cross_entropy with a single class column is always 0.

What
    The class dimension has size 1.
Why
    The softmax of one number is 1, so loss and gradient are exactly 0 whatever the model says.
Bad::

    loss = F.cross_entropy(nn.Linear(20, 1)(x), torch.zeros(32, dtype=torch.long))  # XEN109

Good::

    loss = F.binary_cross_entropy_with_logits(nn.Linear(20, 1)(x).squeeze(1), (y > 4).float())

How it is detected
    From the input's shape.
False positives
    None: the loss is 0 in every case.
References
    https://github.com/huggingface/transformers/issues/45479
"""

from __future__ import annotations

from crossent.doctor.finding import Found
from crossent.doctor.record import CallRecord

MESSAGE = "only one class column (input {shape}, classes in dim {dim}): the softmax of one number is 1."
CONSEQUENCE = "loss and gradient are exactly 0; nothing is learned."
FIX = "binary_cross_entropy_with_logits for one logit per sample, or a head with 2 outputs."


def from_values(record: CallRecord) -> Found | None:
    if record.input.dim() == 0 or record.input.numel() == 0 or record.classes != 1:
        return None
    return Found({"shape": record.shape, "dim": record.class_dim})
