"""A reshape that mixes classes with pixels before the loss.

What
    ``logits.view(-1, C)`` on logits of shape (N, C, H, W), without moving the classes to the end first.
Why
    The memory is read in order, so row 0 holds C neighbouring pixels of channel 0. Each row is a mixture of
    positions of one class; the model can learn no more than the classes' frequencies, and no error is raised.
Bad::

    logits = conv(images)  # (N, C, H, W)
    loss = F.cross_entropy(logits.view(-1, 5), masks.view(-1))  # XEN113

Good::

    loss = F.cross_entropy(conv(images), masks)  # takes (N, C, H, W) as it is
    loss = F.cross_entropy(conv(images).permute(0, 2, 3, 1).reshape(-1, 5), masks.view(-1))

How it is detected
    Directly below the loss (or its log_softmax) the graph has a view whose source had C classes in dim 1 and
    another size at the end.
False positives
    None: the sizes prove it. Where dim 1 and the last one have the same size, nothing is said.
References
    https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html
"""

from __future__ import annotations

from crossent.doctor import graph
from crossent.doctor.finding import Found
from crossent.doctor.record import CallRecord

MESSAGE = (
    "view(-1, {classes}) on shape {shape} mixes positions and classes: row 0 now holds {classes} values of channel 0 "
    "in place of {classes} classes of one position."
)
CONSEQUENCE = "rows no longer belong to the labels; the loss settles at the entropy of the class frequencies."
FIX = "pass {shape} as it is with a target {target_shape}, or move the classes to the end before the reshape."

VIEWS = ("View", "UnsafeView", "ReshapeAlias")


def from_graph(record: CallRecord) -> Found | None:
    if record.source.dim() != 2 or record.class_dim != 1:
        return None
    found = _scrambled(record.chain, record.source.shape[1])
    if found is None and record.chain.kind == "LogSoftmax":
        found = _scrambled(graph.above(record.chain.producer), record.classes)
    return found


def _scrambled(chain: graph.Chain, classes: int) -> Found | None:
    for step in chain.steps:
        if step.kind in VIEWS:
            sizes = step.sizes()
            if sizes is None or len(sizes) < 3 or sizes[1] != classes or sizes[-1] == classes:
                return None
            return Found({"classes": classes, "shape": sizes, "target_shape": (sizes[0], *sizes[2:])})
        if step.kind in graph.MOVES_DIMS:
            return None
    return None
