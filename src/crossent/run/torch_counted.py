"""torch's own losses, counted: what ``crossent run --losses torch`` puts into ``torch.nn.functional``.

Each function is torch's with one line before it. Their signatures and annotations are torch's too, and
the counting is left out where ``torch.jit.script`` or ``torch.compile`` reads them.
"""

# No `from __future__ import annotations`: TorchScript reads the annotations.
import threading
from collections.abc import Callable
from typing import Any, Optional

import torch
import torch.nn.functional as F
from torch import Tensor

from crossent import handover, internals, patching

torch_cross_entropy = F.cross_entropy
torch_nll_loss = F.nll_loss
torch_log_softmax = F.log_softmax

torch_linear_cross_entropy: Any = getattr(F, "linear_cross_entropy", None)  # from torch 2.13 on

_inside = threading.local()  # torch's linear_cross_entropy may call its cross_entropy: that is one call
_listeners: list[Callable[[Any], None]] = []


def install(listener: Callable[[Any], None]) -> None:
    """Put the counted functions in the place of torch's. Of those only: somebody else's stay."""
    _listeners.append(listener)
    for counted in (cross_entropy, nll_loss, log_softmax, linear_cross_entropy):
        setattr(counted, patching.COUNTS_ONLY, True)
        if getattr(F, counted.__name__, None) is globals()[f"torch_{counted.__name__}"] is not None:
            setattr(F, counted.__name__, counted)


def _count(function: str, input: Any, shape: Optional[tuple[int, ...]] = None) -> None:
    if isinstance(input, Tensor) and not getattr(_inside, "linear", False) and not internals.makes_graph():
        served = handover.Served(function, shape or tuple(input.shape), input.dtype, "torch", None)
        for listener in _listeners:
            listener(served)


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Optional[Tensor] = None,
    size_average: Optional[bool] = None,
    ignore_index: int = -100,
    reduce: Optional[bool] = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """torch's cross_entropy, counted."""
    if not torch.jit.is_scripting():  # pyright: ignore[reportPrivateImportUsage]
        if not torch.compiler.is_compiling():
            _count("cross_entropy", input)
    return torch_cross_entropy(input, target, weight, size_average, ignore_index, reduce, reduction, label_smoothing)


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Optional[Tensor] = None,
    size_average: Optional[bool] = None,
    ignore_index: int = -100,
    reduce: Optional[bool] = None,
    reduction: str = "mean",
) -> Tensor:
    """torch's nll_loss, counted."""
    if not torch.jit.is_scripting():  # pyright: ignore[reportPrivateImportUsage]
        if not torch.compiler.is_compiling():
            _count("nll_loss", input)
    return torch_nll_loss(input, target, weight, size_average, ignore_index, reduce, reduction)


def log_softmax(input: Tensor, dim: Optional[int] = None, _stacklevel: int = 3, dtype: Optional[int] = None) -> Tensor:
    """torch's log_softmax, counted."""
    if not torch.jit.is_scripting():  # pyright: ignore[reportPrivateImportUsage]
        if not torch.compiler.is_compiling():
            _count("log_softmax", input)
    return torch_log_softmax(input, dim, _stacklevel + 1, dtype)  # pyright: ignore[reportArgumentType] - torch's own


def linear_cross_entropy(input: Tensor, *arguments: Any, **options: Any) -> Tensor:
    """torch's linear_cross_entropy, counted. TorchScript compiles neither this nor torch's."""
    if torch.compiler.is_compiling():
        return torch_linear_cross_entropy(input, *arguments, **options)
    weight: Any = arguments[0] if arguments else options.get("linear_weight")
    if isinstance(input, Tensor) and isinstance(weight, Tensor):  # the shape of the logits, as crossent says it
        _count("linear_cross_entropy", input, (*input.shape[:-1], *weight.shape[:-1]))
    _inside.linear = True
    try:
        return torch_linear_cross_entropy(input, *arguments, **options)
    finally:
        _inside.linear = False
