"""When a call does not go to a backend, and the reason that is reported.

*To torch itself* go calls that belong to somebody else: tensors that override torch's functions, a
``TorchFunctionMode`` that wants to see ``cross_entropy``, DTensors, sparse and nested tensors; and
every call that torch refuses, so that torch's own exception is raised (:func:`refer_to_torch`).
*To the composite* go calls in a context where a kernel cannot run or would be wrong: functorch
transforms, forward-mode AD, tracing, dispatch modes, fake tensors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from crossent import errors, internals
from crossent.internals import TORCH
from crossent.options import LossOptions
from crossent.problem import Layout, LossTensors

PLAIN_TYPES = (Tensor, torch.nn.Parameter, torch.nn.Buffer)
REFUSED_BY_TORCH = (ValueError, RuntimeError, IndexError, TypeError, NotImplementedError)


class Served(NamedTuple):
    """One call of a loss: what came and who computed it."""

    function: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    by: str  # "cpu" | "gpu" | "reference" | "composite" | "torch"
    reason: str | None  # why not the device's engine


_listeners: tuple[Callable[[Served], None], ...] = ()


def add_listener(callback: Callable[[Served], None]) -> None:
    """Call ``callback`` with a :class:`Served` after every loss call of this process (never while compiling)."""
    global _listeners
    _listeners = (*_listeners, callback)


def remove_listener(callback: Callable[[Served], None]) -> None:
    """The reverse of :func:`add_listener`; unknown callbacks are ignored."""
    global _listeners
    _listeners = tuple(other for other in _listeners if other != callback)  # != : bound methods are made anew


def notify(function: str, input: Tensor, by: str, reason: str | None = None) -> None:
    """Tell the listeners."""
    if _listeners and not internals.makes_graph():
        served = Served(function, tuple(input.shape), input.dtype, by, reason)
        for callback in _listeners:
            callback(served)


def torch_owns(tensors: tuple[Any, ...], *, plain: bool = True) -> str | None:
    """Why torch's own function must see this call, or None.

    A TorchFunctionMode sees torch's function where that means the same (``plain``), else what crossent does.
    """
    if torch.compiler.is_compiling():
        return None
    tensors = tuple(tensor for tensor in tensors if isinstance(tensor, Tensor))
    if plain and internals.function_modes():  # first: a mode would see every attribute that is read below
        reason = internals.function_mode()
        if reason is not None:
            return reason
    for tensor in tensors:
        if type(tensor) not in PLAIN_TYPES:
            reason = _foreign(tensor)
            if reason is not None:
                return reason
        if tensor.layout is not torch.strided or tensor.is_nested:
            return f"layout {tensor.layout}"
    return None


def _foreign(tensor: Tensor) -> str | None:
    """Subclasses with a say of their own; FakeTensor and functional tensors go to the composite."""
    kind = type(tensor)
    if internals.overrides_functions(kind):
        return f"{kind.__name__} overrides torch functions"
    if kind.__name__ == "DTensor":
        return "DTensor"
    return None


def composite_context(tensors: tuple[Any, ...]) -> str | None:
    """Why a kernel cannot run in this context, or None."""
    reason = internals.context()
    if reason is not None:
        return reason
    for tensor in tensors:
        if isinstance(tensor, Tensor):
            if type(tensor) not in PLAIN_TYPES:
                return f"tensor subclass {type(tensor).__name__}"
            if tensor.device.type == "meta":
                return "meta tensor"
    return None


def torch_is_right(input: Tensor) -> bool:
    """Whether torch may serve a plain call where the device has no engine: its 16-bit sums and counts on CPU are
    wrong (docs/differences.md), so the reference serves those."""
    return input.device.type != "cpu" or input.dtype in (torch.float32, torch.float64)


def refer_to_torch(function: str, tensors: LossTensors, options: LossOptions, reason: str) -> Tensor:
    """Let torch's own function answer; if it refuses, add crossent's lines to its exception."""
    came = _beyond_torch(tensors, options)
    answer = ask_torch(function, tensors, options)
    if came is not None or options.backend is not None:
        raise errors.refuse("XEN042", reason=reason, came=came or f"backend={options.backend!r}")
    notify(function, tensors.input, "torch", reason)
    return answer


def ask_torch(function: str, tensors: LossTensors, options: LossOptions, layout: Layout | None = None) -> Tensor:
    """torch's own loss with the arguments that torch knows, and our lines in what it refuses.

    ``layout``: of a call whose shapes are right; what ``shift`` leaves out is not shown to torch.
    """
    input, target = tensors.input, tensors.target
    if layout is not None:
        narrow_target = layout.narrow_input if target.is_floating_point() else layout.narrow_index
        input, target = layout.narrow_input(input), narrow_target(target)
    if options.class_dim is not None and isinstance(input, Tensor) and input.dim() > 1:
        input = input.movedim(options.class_dim, 1)
    smoothing = {"label_smoothing": options.label_smoothing} if function == "cross_entropy" else {}
    try:
        return TORCH[function](
            input,
            target,
            tensors.weight,
            ignore_index=options.ignore_index,
            reduction=options.reduction,
            **smoothing,
        )
    except REFUSED_BY_TORCH as exception:
        raise errors.advise(exception, _facts(function, tensors, options, layout)) from None


def refuse_range(
    function: str, tensors: LossTensors, options: LossOptions, layout: Layout, row: int, came: str | None = None
) -> Exception:
    """torch's own IndexError for one row with a target out of range, without a pass over all logits."""
    bad = layout.narrow_index(tensors.target.detach()).reshape(-1)[row : row + 1].to(torch.int64)
    classes = errors.classes(tensors.input, options.class_dim)
    try:
        TORCH["nll_loss"](bad.new_zeros(1, classes, dtype=torch.float32), bad, ignore_index=options.ignore_index)
    except REFUSED_BY_TORCH as exception:
        return errors.advise(exception, replace(_facts(function, tensors, options, layout), came=came))
    return IndexError(f"Target {int(bad)} is out of bounds.")


def is_plain(tensors: LossTensors, options: LossOptions) -> bool:
    """Whether torch's own function means the same and nobody asked for a backend by name."""
    return options.backend is None and _beyond_torch(tensors, options) is None


def _beyond_torch(tensors: LossTensors, options: LossOptions) -> str | None:
    """Which argument torch would not understand."""
    for name in ("sample_weight", "denominator", "logit_scale"):
        if getattr(tensors, name) is not None:
            return f"{name}="
    return None if options.is_torch else "a crossent option"


def _facts(function: str, tensors: LossTensors, options: LossOptions, layout: Layout | None = None) -> errors.CallFacts:
    return errors.CallFacts(
        function=function,
        input=tensors.input,
        target=tensors.target,
        weight=tensors.weight,
        ignore_index=options.ignore_index,
        reduction=options.reduction,
        label_smoothing=options.label_smoothing,
        class_dim=options.class_dim,
        unread=0 if layout is None else layout.unread,
    )
