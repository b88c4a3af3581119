"""``doctor.crosscheck``: a loss function against the reference in float64, value and gradient."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from crossent import errors, functional
from crossent.doctor import examine, given, place
from crossent.doctor.moments import Crosscheck
from crossent.doctor.report import Report

# Ten times what rounding of the logits' dtype does to a loss; gradients are compared as whole tensors.
VALUE_TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5, torch.bfloat16: 5e-2, torch.float16: 5e-3}


class _Answer(NamedTuple):
    value: Tensor
    gradient: Tensor


def crosscheck(loss_fn: Callable[..., Tensor], logits: Tensor, target: Tensor, **options: Any) -> Report:
    """Compare ``loss_fn(logits, target)`` with cross entropy in float64.

    Args:
        loss_fn: takes logits and target, returns one number (or one per row, with ``reduction="none"`` in options).
        logits, target: one batch; copies are used, no gradient is left behind and no random number is drawn.
        options: those of :func:`crossent.cross_entropy` that say what ``loss_fn`` is meant to compute.

    Example:
        >>> import torch, crossent
        >>> logits, target = torch.linspace(-2, 2, 40).reshape(8, 5), torch.arange(8) % 5
        >>> crossent.doctor.crosscheck(torch.nn.functional.cross_entropy, logits, target).ok
        True
    """
    where = place.here()
    given.function("loss_fn", loss_fn, "a function of logits and target that returns a tensor")
    logits, target = given.tensor("logits", logits), given.tensor("target", target)
    if not logits.is_floating_point():
        raise errors.refuse("XEN001", input_dtype=logits.dtype)
    facts = _compare(loss_fn, logits.detach(), target.detach(), options)
    ignored = _ignored(target, options)
    if not facts.agrees and ignored is not None and logits.dim() == 2 and 0 < int(ignored.sum()) < ignored.numel():
        without = _compare(loss_fn, logits.detach()[~ignored], target.detach()[~ignored], options)
        facts = _with(facts, without, int(ignored.sum()), ignored.numel())
    findings, limits = examine.moment("crosscheck", facts, where, getattr(loss_fn, "__name__", type(loss_fn).__name__))
    return Report(findings, limits, "one loss function")


def _ignored(target: Tensor, options: dict[str, Any]) -> Tensor | None:
    return None if target.is_floating_point() else target == options.get("ignore_index", -100)


def _with(facts: Crosscheck, without: Crosscheck, ignored: int, count: int) -> Crosscheck:
    return replace(facts, without_ignored=without, ignored=ignored, count=count)


def _compare(loss_fn: Callable[..., Tensor], logits: Tensor, target: Tensor, options: dict[str, Any]) -> Crosscheck:
    ours = _answer(loss_fn, logits.clone(), target, {})
    reference = _answer(functional.cross_entropy, logits.double(), _double(target), _doubled(options))
    tolerance = VALUE_TOLERANCE.get(logits.dtype, 1e-5)
    a, b = float(ours.value.double().sum()), float(reference.value.sum())
    g, h = ours.gradient.double().reshape(-1), reference.gradient.reshape(-1)
    size, our_size, off = (_length(part) for part in (h, g, g - h))
    return Crosscheck(
        ours=a,
        reference=b,
        cosine=float(g @ h) / max(1e-300, our_size * size),
        norm_ratio=our_size / max(1e-300, size),
        where=_where(ours.gradient.double(), reference.gradient),
        value_agrees=_close(a, b, tolerance),
        gradient_agrees=off <= 10 * tolerance * max(size, 1e-30),
        ignored=0,
        count=target.numel(),
    )


def _length(values: Tensor) -> float:
    return float((values * values).sum().sqrt())


def _close(a: float, b: float, tolerance: float) -> bool:
    if not math.isfinite(b):
        return a == b or (math.isnan(a) and math.isnan(b))
    return abs(a - b) <= tolerance * max(1.0, abs(b))


def _answer(loss_fn: Callable[..., Tensor], logits: Tensor, target: Tensor, options: dict[str, Any]) -> _Answer:
    devices = [logits.device] if logits.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), torch.enable_grad():
        logits.requires_grad_()
        value = given.tensor("the loss of loss_fn", loss_fn(logits, target, **options))
        if not value.requires_grad:
            return _Answer(value.detach(), torch.zeros_like(logits))
        (gradient,) = torch.autograd.grad(value.sum(), logits)
    return _Answer(value.detach(), gradient)


def _double(target: Tensor) -> Tensor:
    return target.double() if target.is_floating_point() else target


def _doubled(options: dict[str, Any]) -> dict[str, Any]:
    doubled = {name: value.double() if isinstance(value, Tensor) else value for name, value in options.items()}
    return {**doubled, "backend": "reference"}


def _where(ours: Tensor, reference: Tensor) -> str:
    """The entry of the gradient that is furthest off."""
    difference = (ours - reference).abs().nan_to_num(math.inf)
    flat = int(difference.argmax())
    index = tuple(int(part) for part in torch.unravel_index(torch.tensor(flat), difference.shape))
    return f"furthest off at {index}: gradient {float(ours[index]):.4g} against {float(reference[index]):.4g}"
