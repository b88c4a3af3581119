"""What produced a tensor: a walk along the autograd graph, from the tensor to the first operation that changes values.

``loss.grad_fn`` is the record of what the user wrote. Views, copies and casts are stepped over; clamps,
``+ eps``, scalings and dropout are stepped over and remembered; anything else is the *producer*. Names
and small saved numbers are read; saved tensors never, since reading one may run a user's unpack hook
(checkpointing computes the whole block again there).
"""

from __future__ import annotations

import functools
import re
from typing import Any, NamedTuple

from torch import Tensor

SAME_VALUES = frozenset({
    "View", "UnsafeView", "ReshapeAlias", "Permute", "Transpose", "T", "Clone", "ToCopy", "Squeeze",
    "Unsqueeze", "Slice", "Index", "IndexSelect", "Select", "Expand", "Alias", "Detach", "Unfold", "Movedim",
    "Flatten", "MaskedSelect", "AsStrided", "Contiguous", "Unbind", "Split", "SplitWithSizes", "Narrow",
    "Repeat", "Flip", "Roll", "TransposeInt", "Getitem",
})  # fmt: skip
MOVES_DIMS = frozenset({
    "View", "UnsafeView", "ReshapeAlias", "Permute", "Transpose", "T", "Squeeze", "Unsqueeze", "Select",
    "Index", "Movedim", "Flatten", "AsStrided", "Unbind", "MaskedSelect",
})  # fmt: skip
CHANGES_VALUES = frozenset({
    "Clamp", "ClampMin", "ClampMax", "Add", "Sub", "Mul", "Div", "NativeDropout", "WhereSelf", "Where",
    "MaskedFill",
})  # fmt: skip
OPAQUE = {
    "CompiledFunction": "the model is compiled (torch.compile)",
    "CheckpointFunction": "reentrant checkpointing",
}
OURS = {"RowLoss": "Loss", "RowLogSoftmax": "LogSoftmax"}  # crossent's nodes carry `crossent_call`
LONGEST = 64
SIGNED = 1 << 63


class Step(NamedTuple):
    """One operation of the chain, the latest first."""

    kind: str  # "Softmax", "View", ...: the node's name without Backward0
    node: Any

    def number(self, name: str) -> int | None:
        """A saved integer such as ``dim``; torch hands -1 out as 2**64 - 1."""
        value = getattr(self.node, f"_saved_{name}", None)
        if value is None and name == "dim":  # of crossent's log_softmax
            value = getattr(getattr(getattr(self.node, "crossent_call", None), "layout", None), "class_dim", None)
        return None if value is None else signed(int(value))

    def sizes(self) -> tuple[int, ...] | None:
        """The shape that a view was made from."""
        sizes = getattr(self.node, "_saved_self_sym_sizes", None)
        return None if sizes is None else tuple(int(size) for size in sizes)


class Chain(NamedTuple):
    """How a tensor came about."""

    steps: tuple[Step, ...]  # what was stepped over
    producer: Step | None  # None: no graph, or a leaf
    opaque: str | None  # why the producer says nothing

    @property
    def kind(self) -> str:
        """The producer's kind; empty where the graph says nothing."""
        return "" if self.producer is None or self.opaque else self.producer.kind

    @property
    def is_exact(self) -> bool:
        """Whether the values are the producer's own."""
        return not any(step.kind in CHANGES_VALUES for step in self.steps)

    @property
    def moves_dims(self) -> bool:
        return any(step.kind in MOVES_DIMS for step in self.steps)

    @property
    def softmax_dim(self) -> int | None:
        """Over which dimension of this very tensor a softmax ran; None where nothing says it."""
        is_softmax = self.kind in ("Softmax", "LogSoftmax") and self.producer is not None and not self.moves_dims
        return self.producer.number("dim") if is_softmax and self.producer is not None else None

    def has(self, *kinds: str) -> bool:
        return any(step.kind in kinds for step in self.steps)


def signed(value: int) -> int:
    """torch hands negative saved numbers out as unsigned 64-bit ones."""
    return value - (1 << 64) if value >= SIGNED else value


def kind_of(node: Any) -> str:
    """``SoftmaxBackward0`` -> ``Softmax``; crossent's nodes get torch's names."""
    name = _short(node.name())
    return OURS[name] if name in OURS and hasattr(node, "crossent_call") else name


@functools.lru_cache(maxsize=4096)
def _short(name: str) -> str:
    return re.sub(r"Backward\d*$", "", name.rsplit("::", 1)[-1])


def parents(node: Any) -> list[Any]:
    return [parent for parent, _ in node.next_functions if parent is not None]


def chain_of(tensor: Tensor | None) -> Chain:
    """Walk from a tensor to its producer."""
    return walk(None if tensor is None else tensor.grad_fn)


def walk(node: Any) -> Chain:
    steps: list[Step] = []
    while node is not None and len(steps) < LONGEST:
        step = Step(kind_of(node), node)
        above = parents(node)
        passes = step.kind in SAME_VALUES or (step.kind in CHANGES_VALUES and len(above) == 1)
        if not passes or not above:
            return Chain(tuple(steps), step, _opaque(step))
        steps.append(step)
        node = above[0]
    return Chain(tuple(steps), None, None)


def _opaque(step: Step) -> str | None:
    """Why nothing can be known above this node."""
    for name, reason in OPAQUE.items():
        if step.kind.startswith(name):
            return reason
    is_python = type(step.node).__module__ != "torch.autograd" and not hasattr(step.node, "crossent_call")
    if is_python and hasattr(step.node, "saved_tensors"):
        return f"a custom autograd function ({step.kind})"
    return None


def above(step: Step | None) -> Chain:
    """The chain of the first input of an operation."""
    before = [] if step is None else parents(step.node)
    return walk(before[0] if before else None)


def has_parameter(step: Step | None) -> bool:
    """Whether a leaf (a weight) goes into this operation: a layer, and not a product of two activations."""
    chains = [walk(parent) for parent in parents(step.node)] if step is not None else []
    return any(chain.producer is not None and chain.producer.kind == "AccumulateGrad" for chain in chains)


def leaves(node: Any, most: int) -> list[Tensor] | None:
    """The leaves below a root; None if more than ``most`` operations stand between."""
    found: list[Tensor] = []
    level, seen = [node], {node}  # the nodes themselves: the id of one that is let go is given to the next
    while level:
        if len(seen) > most:
            return None
        found += [current.variable for current in level if kind_of(current) == "AccumulateGrad"]
        following = dict.fromkeys(parent for current in level for parent in parents(current))
        level = [parent for parent in following if parent not in seen]
        seen |= following.keys()
    return found


def search(node: Any, kinds: frozenset[str], most: int = 200) -> list[Step]:
    """The nearest nodes of these kinds below a root, breadth first; nothing above a hit is looked at."""
    hits: list[Step] = []
    level, seen = [node], {node}
    while level and len(seen) < most:
        following: list[Any] = []
        for current in level:
            kind = kind_of(current)
            if kind in kinds:
                hits.append(Step(kind, current))
                continue
            for parent in parents(current):
                if parent not in seen:
                    seen.add(parent)
                    following.append(parent)
        level = following
    return hits
