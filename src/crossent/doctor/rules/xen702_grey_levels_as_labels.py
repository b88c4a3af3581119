"""Grey levels of a mask image are used as class ids.

What
    A mask was loaded as an image: its values are 0, 128, 255 or the like, in place of 0, 1, 2.
Why
    torch refuses, or, with a head of 256 outputs, nearly all outputs are never used.
Bad::

    masks = masks * 63
    loss = F.cross_entropy(conv(images), masks)  # XEN702

Good::

    masks = (masks * 63) // 63
    loss = F.cross_entropy(conv(images), masks)

How it is detected
    Labels of a refused call reach at least 2 C + 8, and only a few different values occur (at most 64).
False positives
    None known.
References
    https://github.com/milesial/Pytorch-UNet/issues/291
"""

from __future__ import annotations

from typing import cast

from crossent import errors
from crossent.doctor.finding import Found
from crossent.doctor.record import CallRecord

MESSAGE = "the labels {values} are not 0..{last}: they look like grey levels of a mask image."
CONSEQUENCE = "torch refuses the call; on an accelerator the process dies of a device-side assert."
FIX = "map grey levels to class ids (torch.searchsorted, a lookup table) when the mask is loaded."


def from_error(record: CallRecord) -> Found | None:
    target = record.target
    if not record.is_row_loss or target is None or target.is_floating_point():
        return None
    if record.input.dim() == 0 or tuple(target.shape) != errors.index_shape(record.input, record.class_dim_given):
        return None
    found = sorted(set(cast("list[int]", target.detach().reshape(-1)[: 1 << 18].tolist())))
    values = [value for value in found if value != record.ignore_index]
    if not values or len(values) > 64 or values[-1] < 2 * record.classes + 8 or values[0] < 0:
        return None
    if all(value < record.classes or value == 255 for value in values):
        return None  # XEN701
    return Found({"values": values[:8], "last": record.classes - 1})
