"""What can be explained. A refusal says what is wrong, what came, what is expected and what to write instead.

Where torch would refuse the call, it is diagnosed as for the losses (:mod:`crossent.errors`).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from crossent import errors

if TYPE_CHECKING:
    from crossent.explain.numbers import Request

MOST_SAMPLES = 20
LANGUAGES = ("en", "zh")
REDUCTIONS = ("mean", "sum", "none")
LABELS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


class Checked(NamedTuple):
    """What is explained."""

    logits: Tensor  # floating point, finite but for masked classes
    target: Tensor  # int64 labels in the classes' range, or probabilities in the logits' shape
    weight: Tensor | None  # (C)
    class_dim: int  # not negative


def checked(logits: Any, target: Any, weight: Any, request: Request) -> Checked:
    """The arguments as tensors, or a refusal."""
    _options(request)
    z, labels = _tensor("logits", logits), _tensor("target", target)
    w = None if weight is None else _tensor("weight", weight)
    if labels.dtype in LABELS:
        labels = labels.long()
    if not z.is_floating_point() or z.dim() == 0:
        raise _refused(z, labels, w, request)
    if request.class_dim is not None and not -z.dim() <= request.class_dim < z.dim():
        expected = f"{-z.dim()} to {z.dim() - 1}"
        raise errors.refuse("XEN036", came=request.class_dim, dimensions=z.dim(), expected=expected)
    axis = errors.class_axis(z, request.class_dim)
    if z.numel() == 0:
        raise errors.refuse("XEN071", shape=tuple(z.shape))
    _target(z, labels, w, axis, request)
    _finite("logits", z.movedim(axis, -1), masks=True)
    return Checked(z, labels, w, axis)


def _options(request: Request) -> None:
    if request.reduction not in REDUCTIONS:
        raise errors.refuse("XEN014", reduction=request.reduction)
    if not 0 <= request.label_smoothing <= 1:  # false for NaN, too
        raise errors.refuse("XEN015", label_smoothing=request.label_smoothing)
    wholes = {"samples": (1, MOST_SAMPLES), "top": (1, None), "ignore_index": (-(2**63), 2**63 - 1)}
    for option, (low, high) in wholes.items():
        came = getattr(request, option)
        if not isinstance(came, int) or came < low or (high is not None and came > high):
            expected = f"a whole number from {low} on" if high is None else f"{low} to {high}"
            raise errors.refuse("XEN030", option=option, came=came, expected=expected)
    if request.seen is not None and not math.isfinite(request.seen):
        raise errors.refuse("XEN030", option="loss", came=request.seen, expected="a finite number")
    if request.language not in LANGUAGES:
        raise errors.refuse("XEN030", option="language", came=request.language, expected=" or ".join(LANGUAGES))


def _tensor(which: str, value: Any) -> Tensor:
    try:
        return torch.as_tensor(value).detach()
    except (TypeError, ValueError, RuntimeError):
        raise errors.refuse("XEN020", which=which, came_type=type(value).__name__) from None


def _target(z: Tensor, target: Tensor, weight: Tensor | None, axis: int, request: Request) -> None:
    shape = errors.index_shape(z, axis)
    if target.is_floating_point() and tuple(target.shape) == shape != tuple(z.shape):
        broken = target.reshape(-1)[(target != target.round()).reshape(-1)]
        if broken.numel():
            raise errors.refuse("XEN072", value=float(broken[0]), count=broken.numel(), all=target.numel())
    is_probability = target.is_floating_point() and target.shape == z.shape and request.ignore_index < 0
    is_label = target.dtype == torch.int64 and tuple(target.shape) == shape
    does_weigh = weight is None or tuple(weight.shape) == (z.shape[axis],)
    if not (is_probability or is_label) or not does_weigh:
        raise _refused(z, target, weight, request)
    if is_probability:
        _finite("target", target.movedim(axis, -1), masks=False)
        return
    read = target[target != request.ignore_index]
    if read.numel() and (int(read.min()) < 0 or int(read.max()) >= z.shape[axis]):
        raise _refused(z, target, weight, request)


def _refused(z: Tensor, target: Tensor, weight: Tensor | None, request: Request) -> Exception:
    """What :mod:`crossent.errors` says of such a call of cross_entropy."""
    given = {"logits": z, "target": target, "weight": weight}
    parts = [f"{name} {errors.describe(value)}" for name, value in given.items() if value is not None]
    call = errors.CallFacts(
        function="cross_entropy", input=z, target=target, weight=weight, ignore_index=request.ignore_index,
        reduction=request.reduction, label_smoothing=request.label_smoothing, class_dim=request.class_dim,
        came=", ".join([*parts, f"ignore_index={request.ignore_index}", f"class_dim={request.class_dim}"]),
    )  # fmt: skip
    error = errors.advise(ValueError("this cannot be explained: cross_entropy refuses it"), call)
    fits = [dim for dim in range(z.dim()) if errors.index_shape(z, dim) == tuple(target.shape)]
    if fits and errors.class_axis(z, request.class_dim) not in fits and "class_dim=-1" not in str(error):
        dim = -1 if fits[-1] == z.dim() - 1 else fits[-1]
        error.args = (f"{error}\n  or:       class_dim={dim}, if the classes are there",)
    return error


def _finite(which: str, by_row: Tensor, *, masks: bool) -> None:
    """Refuse NaN and infinities; with ``masks`` not -inf, unless a whole row is."""
    rows = by_row.reshape(-1, by_row.shape[-1])
    bad = rows.isnan() | (rows == math.inf)
    bad |= (rows == -math.inf).all(1, keepdim=True) if masks else rows == -math.inf
    if not bool(bad.any()):
        return
    row, column = (int(index) for index in bad.nonzero()[0])
    raise errors.refuse(
        "XEN070", which=which, value=float(rows[row, column]), count=int(bad.sum()), all=rows.numel(), row=row,
        column=column,
    )  # fmt: skip
