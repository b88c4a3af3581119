"""A mask of class ids was interpolated.

What
    A segmentation mask was resized bilinearly: its values are fractions, or were until ``.long()`` cut them off.
Why
    Between class 2 and class 7 lies no class 4.5. torch refuses the floats; ``.long()`` hides it, and edges get the
    labels of classes that are not there.
Bad::

    small = F.interpolate(masks[:, None].float(), size=(4, 4), mode="bilinear")[:, 0]
    loss = F.cross_entropy(conv(images)[..., ::2, ::2], small.long())  # XEN703
    loss = F.cross_entropy(conv(images)[..., ::2, ::2], small)  # XEN703

Good::

    small = F.interpolate(masks[:, None].float(), size=(4, 4), mode="nearest")[:, 0].long()
    loss = F.cross_entropy(conv(images)[..., ::2, ::2], small)

How it is detected
    The target of a refused call has the shape of class indices, is floating point and holds fractions. While watching:
    ``F.interpolate`` made fractions of whole numbers on the CPU, and the target is what is left of them without the
    fractions. As a note, by the mask alone: at least 3 classes lie almost only (80 % of their pixels) strictly between
    their neighbours' classes, beside classes that cover at least half of the image and do not.
False positives
    None but for the note, which depth bins may give. Not seen: masks of two classes that another library resized.
References
    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.interpolate.html
"""

from __future__ import annotations

import torch
from torch import Tensor

from crossent import errors
from crossent.doctor.finding import Found
from crossent.doctor.record import CallRecord

MESSAGE = (
    "the target has the shape of class indices {shape} and holds fractions ({share:.1%} of its values, e.g. "
    "{example:.3g})."
)
CONSEQUENCE = "torch refuses the call; .long() would turn edges into classes that are not there."
FIX = "resize masks with mode='nearest'."

MESSAGE_CUT = (
    "the target is what F.interpolate made of a mask, without the fractions ({share:.1%} of its values had one, e.g. "
    "{example:.3g})."
)
CONSEQUENCE_CUT = "edges carry classes that are not there."

MESSAGE_EDGES = (
    "classes {classes} occur almost only on edges, between lower and higher ones: the mask looks interpolated and cut "
    "to whole numbers."
)
CONSEQUENCE_EDGES = CONSEQUENCE_CUT

MOST_PIXELS = 1 << 16
MASK_DIMS = 3  # (N, H, W)
THIN, SOLID = 0.8, 0.2  # shares of a class's pixels that lie between their neighbours
FEWEST_THIN, COVERED = 3, 0.5


def from_error(record: CallRecord) -> Found | None:
    target = record.target
    if not record.is_row_loss or target is None or not target.is_floating_point() or target.dim() < MASK_DIMS:
        return None  # XEN207
    if record.input.dim() == 0 or tuple(target.shape) != errors.index_shape(record.input, record.class_dim_given):
        return None
    fractions = target.detach() != target.detach().round()
    if not bool(fractions.any()):
        return None
    example = float(target.detach()[fractions][0])
    return Found({"shape": tuple(target.shape), "share": float(fractions.double().mean()), "example": example})


def from_values(record: CallRecord) -> Found | None:
    target = record.target
    if target is None or target.is_floating_point() or target.dim() < 3 or record.blind is not None:
        return None
    return _cut(record, target.detach()) or _edges(record, target.detach())


def _cut(record: CallRecord, target: Tensor) -> Found | None:
    for resized in record.resized:
        if target.numel() % resized.size:
            continue
        rows = target.reshape(-1, resized.size)[:, resized.places.to(target.device)].cpu()
        is_cut = (rows == resized.values.trunc()) | (rows == resized.values.round())
        if bool(is_cut.all(1).any()):
            fractions = resized.values[resized.values != resized.values.round()]
            share = fractions.numel() / resized.values.numel()
            return Found({"share": share, "example": float(fractions[0])}, variant="CUT")
    return None


def _edges(record: CallRecord, target: Tensor) -> Found | None:
    if record.classes < FEWEST_THIN + 2 or target.device.type != "cpu" or min(target.shape[-2:]) < 3:
        return None
    height, width = target.shape[-2:]
    images = target.reshape(-1, height, width)[: max(1, MOST_PIXELS // (height * width))]
    labels = images[:, : max(3, MOST_PIXELS // width), :].to(torch.int64)
    inner = labels[:, 1:-1, 1:-1]
    between = _between(labels[:, 1:-1, :-2], inner, labels[:, 1:-1, 2:])
    between |= _between(labels[:, :-2, 1:-1], inner, labels[:, 2:, 1:-1])
    is_class = (inner >= 0) & (inner < record.classes) & (inner != record.ignore_index)
    pixels = torch.bincount(inner[is_class], minlength=record.classes)
    share = torch.bincount(inner[is_class & between], minlength=record.classes) / pixels  # NaN for an absent class
    thin, solid = (share >= THIN).nonzero().flatten(), share <= SOLID
    if thin.numel() < FEWEST_THIN or int(pixels[solid].sum()) < COVERED * int(pixels.sum()):
        return None
    return Found({"classes": ", ".join(str(int(c)) for c in thin[:8])}, "low", "note", "EDGES")


def _between(before: Tensor, value: Tensor, after: Tensor) -> Tensor:
    return ((before < value) & (value < after)) | ((before > value) & (value > after))
