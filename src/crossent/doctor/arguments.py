"""Arguments of a loss by name, as torch declares them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from crossent import handover
from crossent.doctor.record import CallRecord

LINEAR = ("linear_cross_entropy", "linear_log_prob")  # their logits are never made
_DEPRECATED = ("size_average", "reduce")
POSITIONAL = {
    "cross_entropy": (
        "input", "target", "weight", "size_average", "ignore_index", "reduce", "reduction", "label_smoothing",
    ),
    "nll_loss": ("input", "target", "weight", "size_average", "ignore_index", "reduce", "reduction"),
    "linear_cross_entropy": (
        "input", "linear_weight", "target", "linear_bias", "weight", "reduction", "ignore_index", "label_smoothing",
    ),  # the first three by position
    "linear_log_prob": ("input", "linear_weight", "tokens"),
    "kl_div": ("input", "target", "size_average", "reduce", "reduction", "log_target"),
    "binary_cross_entropy": ("input", "target", "weight", "size_average", "reduce", "reduction"),
    "binary_cross_entropy_with_logits": (
        "input", "target", "weight", "size_average", "reduce", "reduction", "pos_weight",
    ),
    "mse_loss": ("input", "target", "size_average", "reduce", "reduction", "weight"),
    "l1_loss": ("input", "target", "size_average", "reduce", "reduction", "weight"),
}  # fmt: skip


def record_of(function: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> CallRecord | None:
    """The record of a call; None where input and target are no tensors."""
    given = {**dict(zip(POSITIONAL[function], args, strict=False)), **kwargs}
    input, target = given.get("input"), given.get("tokens" if function == "linear_log_prob" else "target")
    if not isinstance(input, Tensor) or not isinstance(target, Tensor):
        return None
    hidden = None
    if function in LINEAR:
        hidden, input = input, _unmade(input, given.get("linear_weight"))
        if input is None:
            return None
    return CallRecord(
        "mse_loss" if function == "l1_loss" else function,
        input,
        target,
        weight=given.get("weight"),
        ignore_index=_or(given.get("ignore_index"), -100),
        reduction="none" if function == "linear_log_prob" else _reduction(given),
        label_smoothing=_or(given.get("label_smoothing"), 0.0),
        log_target=bool(given.get("log_target")),
        class_dim_given=given.get("class_dim") if given.get("shift") is None else -1,
        grad_enabled=torch.is_grad_enabled(),
        blind=blindness(input, target),
        flags=tuple(given.get(name) for name in _DEPRECATED),
        hidden=hidden,
        up_to_constant=hidden is not None,
        shift=int(_or(given.get("shift"), 0)),
    )


def _unmade(hidden: Tensor, head: Any) -> Tensor | None:
    """Zeros in the shape of the logits of a linear head: one number of memory."""
    if not isinstance(head, Tensor) or head.dim() < 2 or hidden.dim() < 1 or head.shape[-1] != hidden.shape[-1]:
        return None
    return hidden.detach().new_zeros(()).expand(*hidden.shape[:-1], *head.shape[:-1])


def _or(value: Any, default: Any) -> Any:
    return default if value is None else value


def _reduction(given: dict[str, Any]) -> str:
    """torch's two deprecated flags win over ``reduction``."""
    average, reduce = (given.get(name) for name in _DEPRECATED)
    if average is None and reduce is None:
        return str(_or(given.get("reduction"), "mean"))
    if reduce is False:
        return "none"
    return "sum" if average is False else "mean"


def blindness(input: Tensor, target: Tensor) -> str | None:
    """Why the values of these tensors must not be read, or None."""
    return handover.torch_owns((input, target)) or handover.composite_context((input, target))
