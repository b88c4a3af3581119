"""The target has an axis of size 1 too many.

What
    Labels of shape (N, 1), or masks of shape (N, 1, H, W).
Why
    torch refuses: "0D or 1D target tensor expected, multi-target not supported". A loss written by hand broadcasts
    it with (N,) to an (N, N) matrix in silence.
Bad::

    loss = F.cross_entropy(model(x), y.unsqueeze(1))  # XEN202

Good::

    loss = F.cross_entropy(model(x), y)

How it is detected
    From the shapes of a call that torch refused: without one axis of size 1 the target fits.
False positives
    None.
References
    https://github.com/pytorch/pytorch/issues/56542
"""

from __future__ import annotations

from crossent import errors
from crossent.doctor.finding import Found
from crossent.doctor.record import CallRecord

MESSAGE = "the target has an extra axis: it has shape {shape}, expected {want}."
CONSEQUENCE = "torch refuses the call; a loss written by hand would broadcast it to {count} x {count}."
FIX = "write target.squeeze({axis})."


def from_error(record: CallRecord) -> Found | None:
    target = record.target
    if not record.is_row_loss or target is None or record.input.dim() == 0:
        return None
    want = errors.index_shape(record.input, record.class_dim_given)
    axis = errors.extra_axis(target, want)
    if axis is None or tuple(target.shape) == want:
        return None
    return Found({"shape": tuple(target.shape), "want": want, "axis": axis, "count": target.numel()})
