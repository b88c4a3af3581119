"""What TorchScript compiles when it meets a public loss.

TorchScript knows no keyword-only arguments with defaults, so each public function names its twin here,
with the same arguments by position (:func:`compiles_as`). A call without crossent options is torch's
own operator: a scripted model then loads without crossent and torch makes all checks. A call with
options is the composite; its operators check the shapes.
"""

# No `from __future__ import annotations`: TorchScript reads the annotations.
from collections.abc import Callable
from typing import Any, Optional, TypeVar, Union

import torch
from torch import Tensor

from crossent import composite
from crossent.internals import TORCH, legacy_reduction, softmax_dim

# TorchScript resolves plain names.
torch_cross_entropy, torch_nll_loss = TORCH["cross_entropy"], TORCH["nll_loss"]

_Function = TypeVar("_Function", bound=Callable[..., Any])


def compiles_as(twin: Callable[..., Any]) -> Callable[[_Function], _Function]:
    """Make ``torch.jit.script`` compile ``twin`` in place of the decorated function.

    The two attributes are those of ``torch.jit.script_if_tracing``. ``torch.jit.script`` follows them where they
    are present, Dynamo where the second is true; False therefore keeps the twin out of ``torch.compile``.
    """

    def mark(function: _Function) -> _Function:
        function.__original_fn = twin  # type: ignore[attr-defined]
        function.__script_if_tracing_wrapper = False  # type: ignore[attr-defined]
        return function

    return mark


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Optional[Tensor] = None,
    size_average: Optional[bool] = None,
    ignore_index: int = -100,
    reduce: Optional[bool] = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    sample_weight: Optional[Tensor] = None,
    denominator: Union[float, Tensor, None] = None,
    logit_scale: Union[float, Tensor, None] = None,
    softcap: Optional[float] = None,
    z_loss: float = 0.0,
    out_dtype: Optional[int] = None,
    if_all_ignored: str = "nan",
    class_dim: Optional[int] = None,
    shift: int = 0,
    inplace: bool = False,
    backend: Optional[str] = None,
) -> Tensor:
    """:func:`crossent.cross_entropy` in TorchScript."""
    if size_average is not None or reduce is not None:
        reduction = legacy_reduction(size_average, reduce)
    below, scale = _number(denominator), _number(logit_scale)
    mapped = sample_weight is not None or scale is not None or softcap is not None or z_loss != 0.0
    if not mapped and _is_torch(below, out_dtype, if_all_ignored, class_dim, shift):
        return torch_cross_entropy(input, target, weight, None, ignore_index, None, reduction, label_smoothing)
    return _loss(
        False, input, target, weight, ignore_index, reduction, label_smoothing, sample_weight, below, scale,
        0.0 if softcap is None else softcap, z_loss, out_dtype, if_all_ignored, class_dim, shift,
    )  # fmt: skip


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Optional[Tensor] = None,
    size_average: Optional[bool] = None,
    ignore_index: int = -100,
    reduce: Optional[bool] = None,
    reduction: str = "mean",
    sample_weight: Optional[Tensor] = None,
    denominator: Union[float, Tensor, None] = None,
    out_dtype: Optional[int] = None,
    if_all_ignored: str = "nan",
    class_dim: Optional[int] = None,
    shift: int = 0,
    backend: Optional[str] = None,
) -> Tensor:
    """:func:`crossent.nll_loss` in TorchScript."""
    if size_average is not None or reduce is not None:
        reduction = legacy_reduction(size_average, reduce)
    below = _number(denominator)
    if sample_weight is None and _is_torch(below, out_dtype, if_all_ignored, class_dim, shift):
        return torch_nll_loss(input, target, weight, None, ignore_index, None, reduction)
    return _loss(
        True, input, target, weight, ignore_index, reduction, 0.0, sample_weight, below, None,
        0.0, 0.0, out_dtype, if_all_ignored, class_dim, shift,
    )  # fmt: skip


def log_softmax(
    input: Tensor,
    dim: Optional[int] = None,
    _stacklevel: int = 3,
    dtype: Optional[int] = None,
    logit_scale: Union[float, Tensor, None] = None,
    softcap: Optional[float] = None,
    backend: Optional[str] = None,
) -> Tensor:
    """:func:`crossent.log_softmax` in TorchScript."""
    axis = softmax_dim("log_softmax", input.dim(), _stacklevel) if dim is None else dim
    scale = _number(logit_scale)
    wide = input if dtype is None else input.to(dtype)
    if scale is None and softcap is None:
        return wide.log_softmax(axis)
    return composite.log_softmax(wide, axis, scale, 0.0 if softcap is None else softcap).to(wide.dtype)


def _number(value: Union[float, Tensor, None]) -> Optional[Tensor]:
    """A number or tensor option as the tensor that the composite takes."""
    if value is None:
        return None
    if isinstance(value, Tensor):
        return value
    return torch.tensor(value, dtype=torch.float64)


def _is_torch(
    denominator: Optional[Tensor], out_dtype: Optional[int], if_all_ignored: str, class_dim: Optional[int], shift: int
) -> bool:
    return denominator is None and out_dtype is None and if_all_ignored == "nan" and class_dim is None and shift == 0


def _loss(
    normalised: bool,
    input: Tensor,
    target: Tensor,
    weight: Optional[Tensor],
    ignore_index: int,
    reduction: str,
    label_smoothing: float,
    sample_weight: Optional[Tensor],
    denominator: Optional[Tensor],
    logit_scale: Optional[Tensor],
    softcap: float,
    z_loss: float,
    out_dtype: Optional[int],
    if_all_ignored: str,
    class_dim: Optional[int],
    shift: int,
) -> Tensor:
    dim = min(1, input.dim() - 1) if class_dim is None else class_dim % input.dim()
    unread = 0
    if shift > 0:  # entry t of everything in the target's shape is predicted at position t - shift
        sequence_dim = input.dim() - 2 if dim == input.dim() - 1 else input.dim() - 1
        length = input.size(sequence_dim)
        unread = min(shift, length)
        input = input.narrow(sequence_dim, 0, length - unread)
        target = target.narrow(sequence_dim if target.dim() > input.dim() - 1 else -1, unread, length - unread)
        if sample_weight is not None:
            sample_weight = sample_weight.narrow(-1, unread, length - unread)
        if logit_scale is not None and logit_scale.dim() > 0:
            logit_scale = logit_scale.narrow(-1, unread, length - unread)
    terms = composite.row_terms(
        input, target, weight, logit_scale, dim, ignore_index, label_smoothing, softcap, z_loss, normalised, False
    )
    result = composite.reduce(terms, sample_weight, denominator, reduction, if_all_ignored == "zero")
    if reduction == "none" and unread > 0:
        result = torch.constant_pad_nd(result, [unread, 0])
    return result.to(input.dtype if out_dtype is None else out_dtype)
