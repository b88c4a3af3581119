"""A mask of class ids was interpolated.

What
    A segmentation mask was resized bilinearly: its values are fractions.
Why
    Between class 2 and class 7 lies no class 4.5. torch refuses the floats; ``.long()`` hides it, and edges get the
    labels of classes that are not there.
Bad::

    small = F.interpolate(masks[:, None].float(), size=(4, 4), mode="bilinear")[:, 0]
    loss = F.cross_entropy(conv(images)[..., ::2, ::2], small)  # XEN703

Good::

    small = F.interpolate(masks[:, None].float(), size=(4, 4), mode="nearest")[:, 0].long()
    loss = F.cross_entropy(conv(images)[..., ::2, ::2], small)

How it is detected
    The target of a refused call has the shape of class indices, is floating point and holds fractions.
False positives
    None. Not seen: a mask that was cast back by ``.long()`` holds whole numbers again.
References
    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.interpolate.html
"""

from __future__ import annotations

from crossent import errors
from crossent.doctor.finding import Found
from crossent.doctor.record import CallRecord

MESSAGE = (
    "the target has the shape of class indices {shape} and holds fractions ({share:.1%} of its values, e.g. "
    "{example:.3g})."
)
CONSEQUENCE = "torch refuses the call; .long() would turn edges into classes that are not there."
FIX = "resize masks with mode='nearest'."


def from_error(record: CallRecord) -> Found | None:
    target = record.target
    if not record.is_row_loss or target is None or not target.is_floating_point():
        return None
    if record.input.dim() == 0 or tuple(target.shape) != errors.index_shape(record.input, record.class_dim_given):
        return None
    fractions = target.detach() != target.detach().round()
    if not bool(fractions.any()):
        return None
    example = float(target.detach()[fractions][0])
    return Found({"shape": tuple(target.shape), "share": float(fractions.double().mean()), "example": example})
