"""The classes stand in the last dimension, and cross_entropy reads them from dim 1.

What
    Logits of shape (B, T, V) or (N, H, W, C) go into the loss as they are.
Why
    torch reads the classes from dim 1. Where T is not V it refuses; where both have the same size it computes a
    loss over the wrong axis in silence.
Bad::

    logits = nn.Linear(20, 16)(torch.randn(4, 16, 20))  # (B, T, V) with T == V
    loss = F.cross_entropy(logits, ids % 16)  # XEN205

Good::

    logits = nn.Linear(20, 16)(torch.randn(4, 16, 20))
    loss = F.cross_entropy(logits.transpose(1, 2), ids % 16)
    loss = F.cross_entropy(logits.flatten(0, 1), (ids % 16).flatten())

How it is detected
    At least 3 dimensions, dim 1 and the last one of the same size: a linear layer puts classes last, a convolution
    into dim 1, and the graph says which produced the logits. Without a graph it is a note. Where torch refused, the
    shapes say it.
False positives
    None where a linear layer is seen to be the producer and nothing was transposed.
References
    https://github.com/pytorch/pytorch/issues/19525
"""

from __future__ import annotations

from crossent.doctor import graph
from crossent.doctor.finding import Found
from crossent.doctor.record import CallRecord

MESSAGE = "the class axis is ambiguous: shape {shape} has size {size} at dim 1 and last, and {producer}."
CONSEQUENCE = "cross_entropy reads dim 1: it compares positions in place of classes, without an error."
FIX = "logits.transpose(1, -1), or logits.flatten(0, -2) with target.flatten()."

MESSAGE_REFUSED = (
    "logits of shape {shape} with a target of shape {target}: the classes stand last, the loss reads dim 1."
)
CONSEQUENCE_REFUSED = "torch refuses the call."

LINEAR = ("Addmm", "Mm", "Linear", "MkldnnLinear", "Bmm")
TURNS = ("Transpose", "Permute", "Movedim", "T")


def from_graph(record: CallRecord) -> Found | None:
    if record.input.dim() < 3 or record.shape[1] != record.shape[-1] or record.class_dim != 1 or record.classes < 2:
        return None
    chain = record.chain
    if chain.kind == "LogSoftmax":
        chain = graph.above(chain.producer)
    evidence = {"shape": record.shape, "size": record.shape[1]}
    if _is_linear(chain) and not chain.has(*TURNS):
        return Found({**evidence, "producer": "a linear layer made it, which puts classes last"})
    if chain.kind:
        return None
    why = chain.opaque or "there is no graph to tell"
    return Found({**evidence, "producer": why}, "low", "note")


def _is_linear(chain: graph.Chain) -> bool:
    """A matrix product; or one plus a bias, as a linear layer does on an input that is not contiguous."""
    with_bias = chain.kind == "Add" and graph.has_parameter(chain.producer)
    return (graph.above(chain.producer) if with_bias else chain).kind in LINEAR


def from_error(record: CallRecord) -> Found | None:
    target = record.target
    if target is None or not record.is_row_loss or record.input.dim() < 3:
        return None
    if tuple(target.shape) != record.shape[:-1]:
        return None
    return Found({"shape": record.shape, "target": tuple(target.shape)}, variant="REFUSED")
