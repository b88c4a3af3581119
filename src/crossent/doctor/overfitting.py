"""``doctor.overfit``: can a copy of the model learn one batch by heart?"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from crossent.doctor import examine, given, place
from crossent.doctor.moments import Overfit
from crossent.doctor.report import Report


def overfit(
    model: torch.nn.Module,
    batch: Sequence[Any],
    loss_fn: Callable[[Any, Any], Tensor],
    *,
    steps: int = 100,
    lr: float = 1e-2,
) -> Report:
    """Train a deep copy of the model on one batch with Adam, and say whether the loss goes down.

    Args:
        model: left as it is; called with all but the last entry of ``batch``.
        batch: inputs, and the target as the last entry.
        loss_fn: takes the model's output and the target.

    Example:
        >>> import torch, crossent
        >>> model, x, y = torch.nn.Linear(8, 4), torch.eye(8), torch.arange(8) % 4
        >>> crossent.doctor.overfit(model, (x, y), torch.nn.functional.cross_entropy, lr=0.1).ok
        True
    """
    where = place.here()
    given.whole("steps", steps, 1)
    given.function("loss_fn", loss_fn, "a function of the model's output and the target")
    *inputs, target = given.sequence("batch", batch, 2, "a tuple (inputs, target)")
    twin = copy.deepcopy(model).train()
    devices = sorted({parameter.device.index for parameter in twin.parameters() if parameter.device.type == "cuda"})
    with torch.random.fork_rng(devices=devices), torch.enable_grad():
        first, last, classes = _train(twin, inputs, target, loss_fn, steps, lr)
    findings, limits = examine.moment("overfit", Overfit(steps, first, last, classes), where, "overfit")
    return Report(findings, limits, f"{steps} steps on one batch")


def _train(
    twin: torch.nn.Module, inputs: list[Any], target: Any, loss_fn: Callable[[Any, Any], Tensor], steps: int, lr: float
) -> tuple[float, float, int]:
    optimizer = torch.optim.Adam(twin.parameters(), lr=lr)
    first, last, classes = 0.0, 0.0, 0
    for step in range(steps + 1):
        optimizer.zero_grad()
        output = twin(*inputs)
        loss = loss_fn(output, target)
        last = loss.detach()
        if step == 0:
            first = float(last)
            classes = int(output.shape[1]) if isinstance(output, Tensor) and output.dim() > 1 else 0
        if step < steps:
            loss.backward()
            optimizer.step()
    return first, float(last), classes
