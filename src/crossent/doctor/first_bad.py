"""Where the first NaN came from: the earliest operation of a graph whose result is not finite.

Asked only where a loss is broken already. What the graph has saved for backward is read, but nothing that a hook would
have to bring back (checkpointing would compute, offloading would copy). Modules are found by their parameters.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any, NamedTuple, cast

from torch import Tensor, nn

from crossent.doctor import graph

RESULTS = ("result", "output", "out")  # what a node saves of its own result, result1, ...
RAW = "_raw_saved_"
MOST_NODES = 5000


class Origin(NamedTuple):
    """The first operation with a bad result; or, with ``is_input``, the first that was given bad data."""

    operation: str
    module: str  # the one whose parameters it uses, or the nearest before it; empty if none is known
    is_own: bool  # whether the module is the operation's own
    is_input: bool

    def __str__(self) -> str:
        if self.is_input:
            return f"the data that come into {self.module or self.operation} hold it already"
        where = f" of {self.module}" if self.is_own else f" after {self.module}" if self.module else ""
        return f"the first operation with a bad result is {self.operation}{where}"


def origin(tensor: Tensor, model: nn.Module | None = None) -> Origin | None:
    """None where the graph is too large or has kept too little to tell."""
    order = _in_order(tensor.grad_fn) if tensor.grad_fn is not None else None
    for node in order or ():
        is_given, is_made = _is_bad(node)
        if is_given or is_made:
            return _named(node, is_made and not is_given, model)
    return None if order is None else _named(order[-1], True, model)  # nothing saved is bad: the last one's result is


def _named(node: Any, is_made: bool, model: nn.Module | None) -> Origin:
    """``node`` made a bad result, or was given one: then the operation before it made that, if there is one."""
    before = [parent for parent in graph.parents(node) if graph.kind_of(parent) not in ("AccumulateGrad", "T")]
    culprit = node if is_made else (before[0] if before else None)
    names = _modules(model)
    if culprit is None:
        return Origin(graph.kind_of(node), names.get(_parameter(node), ""), True, True)
    own = names.get(_parameter(culprit), "")
    module = own or next((names[key] for key in _parameters_before(culprit) if key in names), "")
    return Origin(graph.kind_of(culprit), module, bool(own), False)


def _in_order(root: Any) -> list[Any] | None:
    """The operations, each after those that it depends on; None if there are too many."""
    order: list[Any] = []
    seen, stack = {root}, [(root, iter(graph.parents(root)))]
    while stack:
        node, above = stack[-1]
        parent = next((parent for parent in above if parent not in seen), None)
        if parent is None:
            stack.pop()
            order.append(node)
        elif len(seen) >= MOST_NODES:
            return None
        else:
            seen.add(parent)
            stack.append((parent, iter(graph.parents(parent))))
    return [node for node in order if graph.kind_of(node) not in ("AccumulateGrad", "T")]


def _is_bad(node: Any) -> tuple[bool, bool]:
    """Whether something that the operation was given is not finite, and whether its result is not."""
    given = made = False
    for name, tensor in _saved(node):
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            is_result = name.rstrip("0123456789") in RESULTS
            given, made = given or not is_result, made or is_result
    return given, made


def _saved(node: Any) -> Iterator[tuple[str, Tensor]]:
    for name in (name for name in dir(node) if name.startswith(RAW)):
        raw: Any = getattr(node, name)
        if getattr(raw, "unpack_hook", raw) is not None:
            continue  # a list of tensors; a hook; or torch 2.8, where nobody can ask for one
        value = getattr(node, name.replace(RAW, "_saved_"))
        if isinstance(value, Tensor):
            yield name.removeprefix(RAW), value


def _parameter(node: Any) -> int:
    """The id of a leaf that goes into this operation itself, or through a transposition."""
    for parent in graph.parents(node):
        above = [parent, *(graph.parents(parent) if graph.kind_of(parent) == "T" else ())]
        for leaf in above:
            if graph.kind_of(leaf) == "AccumulateGrad":
                return id(leaf.variable)
    return 0


def _parameters_before(node: Any) -> Iterator[int]:
    """The leaves of the operations before this one, along the first inputs."""
    while node is not None:
        yield _parameter(node)
        node = next(iter(graph.parents(node)), None)


def _modules(model: nn.Module | None) -> dict[int, str]:
    """Names of modules by the ids of their parameters; without a model, of all modules that are alive."""
    alive = [model] if model is not None else [o for o in gc.get_objects() if issubclass(type(o), nn.Module)]
    names: dict[int, str] = {}
    for root in cast("list[nn.Module]", alive):
        for path, module in cast("Iterator[tuple[str, nn.Module]]", root.named_modules()):
            name = f"{path} ({type(module).__name__})" if path else type(module).__name__
            for key in map(id, module.parameters(recurse=False)):
                if len(name) > len(names.get(key, "")):  # the longest path: from the outermost module
                    names[key] = name
    return names
