"""The other fused cross entropies, where they are installed: liger-kernel, quack, cut-cross-entropy, torch's chunked.

They are called as their pages say, with their defaults. None of them has been run by this project: what an
adapter gets wrong is reported under ``failed`` with the exception, or as a result that does not agree.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

from crossent import internals
from crossent.bench.cases import CPU, CUDA, PLAIN, Case
from crossent.bench.recipes import Loss


def named(module: str, name: str) -> Any:
    """An attribute of a package that need not be there."""
    return getattr(importlib.import_module(module), name)


def why_not(package: str, *, linear: bool) -> Callable[[Case], str | None]:
    """None where a peer's loss of logits (or of a linear head) can be measured."""

    def reason(case: Case) -> str | None:
        if bool(case.features) != linear:
            return f"its loss of {'logits' if linear else 'a linear head'} is another provider"
        if case.setting != PLAIN:
            return "measured without options only"
        if importlib.util.find_spec(package) is None:
            return f"{package} is not installed"
        return None if case.device == CUDA else f"{package} has no CPU kernels"

    return reason


def torchs_chunked_why_not(case: Case) -> str | None:
    """torch has it from 2.13 on; for linear heads."""
    if not case.features:
        return "for linear heads only"
    if case.device == CPU:
        return "measured by crossent bench linear"
    return None if internals.torch_linear_options is not None else "torch has it from 2.13 on"


# ---- of logits: loss(logits, target)


def liger(linear_weight: Any) -> Loss:
    """Overwrites its logits with their gradient."""
    return named("liger_kernel.transformers", "LigerCrossEntropyLoss")()


def quack(linear_weight: Any) -> Loss:
    loss = named("quack.cross_entropy", "cross_entropy")
    return lambda logits, target: loss(logits, target, reduction="mean")


# ---- of a linear head: loss(hidden, target)


def torchs_chunked(linear_weight: Any) -> Loss:
    options, function = internals.torch_linear_options, internals.torch_linear
    assert options is not None and function is not None
    return lambda hidden, target: function(hidden, linear_weight, target, options=options())


def liger_linear(linear_weight: Any) -> Loss:
    loss = named("liger_kernel.transformers", "LigerFusedLinearCrossEntropyLoss")()
    return lambda hidden, target: loss(linear_weight, hidden, target)


def quack_linear(linear_weight: Any) -> Loss:
    loss = named("quack.linear_cross_entropy", "chunked_linear_cross_entropy")
    return lambda hidden, target: loss(hidden, linear_weight, target, reduction="mean")


def cut(linear_weight: Any) -> Loss:
    loss = named("cut_cross_entropy", "linear_cross_entropy")
    return lambda hidden, target: loss(hidden, linear_weight, target)
