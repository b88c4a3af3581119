"""Class indices of a dtype that torch does not take.

What
    Labels as float, int32, int16 or bool, often from a NumPy array or a data frame.
Why
    torch takes int64 (uint8 for some shapes) and refuses the rest: "expected target dtype to be Long or Byte, but
    got Float".
Bad::

    loss = F.cross_entropy(model(x), y.float())  # XEN207

Good::

    loss = F.cross_entropy(model(x), y.float().long())

How it is detected
    From the dtype of the target of a call that torch refused.
False positives
    None.
References
    https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html
"""

from __future__ import annotations

import torch

from crossent import errors
from crossent.doctor.finding import Found
from crossent.doctor.record import CallRecord
from crossent.doctor.rules.xen703_interpolated_mask import MASK_DIMS

MESSAGE = "the target has the shape of class indices {shape} but dtype {dtype}."
CONSEQUENCE = "torch refuses the call."
FIX = "write target.long()."

MESSAGE_FRACTIONS = "the target has the shape of class indices {shape} and holds fractions, {example:.3g} is one."
FIX_FRACTIONS = (
    "pass ids of classes; probabilities need the input's shape, and quantities a regression loss (mse_loss)."
)


def from_error(record: CallRecord) -> Found | None:
    target = record.target
    if target is None or not record.is_row_loss or record.input.dim() == 0:
        return None
    if tuple(target.shape) != errors.index_shape(record.input, record.class_dim_given):
        return None
    if target.dtype == torch.int64 or not record.input.is_floating_point():
        return None
    fractions = target.detach()[target != target.round()] if target.is_floating_point() else target[:0]
    if fractions.numel() and target.dim() >= MASK_DIMS:
        return None
    if fractions.numel():
        return Found({"shape": tuple(target.shape), "example": float(fractions[0])}, variant="FRACTIONS")
    return Found({"shape": tuple(target.shape), "dtype": str(target.dtype).removeprefix("torch.")})
