"""255 marks unlabelled pixels, and ignore_index was not set.

What
    Segmentation masks (PASCAL VOC, Cityscapes) mark void pixels with 255.
Why
    255 is no class: torch raises IndexError, or the device asserts.
Bad::

    masks[:, 0] = 255
    loss = F.cross_entropy(conv(images), masks)  # XEN701

Good::

    masks[:, 0] = 255
    loss = F.cross_entropy(conv(images), masks, ignore_index=255)

How it is detected
    The highest label of a refused call is 255, there are fewer than 255 classes, and all other labels are in range.
False positives
    None.
References
    http://host.robots.ox.ac.uk/pascal/VOC/voc2012/segexamples/index.html
"""

from __future__ import annotations

from crossent import errors
from crossent.doctor.finding import Found
from crossent.doctor.record import CallRecord

MESSAGE = "255 found in {count} of {total} targets, with C={classes} classes and ignore_index={ignore_index}."
CONSEQUENCE = "torch refuses the call; on an accelerator the process dies of a device-side assert."
FIX = "set ignore_index=255."


def from_error(record: CallRecord) -> Found | None:
    target = record.target
    if not record.is_row_loss or target is None or target.is_floating_point():
        return None
    if record.input.dim() == 0 or tuple(target.shape) != errors.index_shape(record.input, record.class_dim_given):
        return None
    labels = target.detach()
    void = labels == 255
    if record.classes >= 255 or record.ignore_index == 255 or not bool(void.any()):
        return None
    others = labels[~void & (labels != record.ignore_index)]
    if others.numel() and (int(others.min()) < 0 or int(others.max()) >= record.classes):
        return None  # XEN702, XEN203
    evidence = {
        "count": int(void.sum()), "total": labels.numel(), "classes": record.classes,
        "ignore_index": record.ignore_index,
    }  # fmt: skip
    return Found(evidence)
