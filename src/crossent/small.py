"""Calls so small that making up one's mind costs more than the loss: they go to torch at once.

Semantics never depend on size: only calls on which torch is right are handed over (a plain call, float32
or float64, no ignored target, on CPU, outside of every context that torch or crossent treats
specially), and only below a size where torch was measured to be the faster one. An explicit
``backend=`` is never handed over.
"""

from __future__ import annotations

import torch
from torch import Tensor

from crossent import errors, handover, internals

# torch's forward and backward were measured to be no slower than the way through crossent's autograd function while
# elements + ROW_ELEMENTS x rows stay below the limit: 96 x 1000 took 0.20 ms against 0.35 and 1024 x 10 0.19 against
# 0.27, but 256 x 1000 0.45 against 0.41 and 4096 x 10 0.55 against 0.32. `crossent env` shows both.
LIMIT_ELEMENTS = 140_000
ROW_ELEMENTS = 64  # what a row costs torch besides its elements
REASON = "small call"


def fits(input: Tensor, target: Tensor, ignore_index: int) -> bool:
    """Whether torch serves this plain loss as well as crossent would, and sooner."""
    return (
        _can_be_torchs(input)
        and type(target) is Tensor
        and target.is_cpu
        and target.dtype is torch.int64
        and _is_short(input.numel(), target.numel())
        and target.numel() > 0
        and type(ignore_index) is int
        and ignore_index < 0
        and target.min().item() >= 0
    )


def fits_logits(input: Tensor, dim: int) -> bool:
    """The same for a plain log_softmax."""
    if not _can_be_torchs(input):
        return False
    classes = input.shape[dim] if input.dim() else 1
    return _is_short(input.numel(), input.numel() // max(1, classes))


def _can_be_torchs(input: Tensor) -> bool:
    return (
        internals.context() is None  # first: a compiler must not be asked about sizes
        and type(input) is Tensor
        and input.is_cpu
        and (input.dtype is torch.float32 or input.dtype is torch.float64)
        and not internals.function_modes()
    )


def _is_short(elements: int, rows: int) -> bool:
    return elements + ROW_ELEMENTS * rows <= LIMIT_ELEMENTS


def loss(
    function: str,
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    reduction: str,
    *label_smoothing: float,
) -> Tensor:
    """torch's own, with crossent's lines added to what it refuses."""
    try:
        answer = internals.TORCH[function](input, target, weight, None, ignore_index, None, reduction, *label_smoothing)
    except handover.REFUSED_BY_TORCH as exception:
        facts = errors.CallFacts(
            function=function, input=input, target=target, weight=weight, ignore_index=ignore_index,
            reduction=reduction, label_smoothing=(*label_smoothing, 0.0)[0],
        )  # fmt: skip
        raise errors.advise(exception, facts) from None
    handover.notify(function, input, "torch", REASON)
    return answer
