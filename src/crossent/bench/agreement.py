"""Results first: before anybody is timed, losses and gradients are held against each other.

The standard is torch eager in float32 on the same logits (which for 16-bit logits are widened exactly). An element of a
gradient may be off by ``tolerance * (its size + the mean size of all elements)``: most elements of a gradient are
small (softmax), a few are large (labels), and a provider that gets only the large ones right must not pass. The
tolerance of bfloat16 is that of torch eager, which saves log-probabilities near -10 in steps of 1/16.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from crossent.bench import recipes
from crossent.bench.cases import Case
from crossent.bench.inputs import Inputs
from crossent.bench.providers import Step

TOLERANCE = {"fp32": 2e-4, "bf16": 6.5e-2}
LOSS_TOLERANCE = {"fp32": 1e-5, "bf16": 1e-2}
CHUNK = 1 << 24  # elements compared at a time: no copies of whole gradients


Gradient = tuple[Tensor, ...] | None  # of the logits; of the hidden states and the head


class Standard(NamedTuple):
    """What every provider must come to."""

    loss: Tensor
    gradient: Gradient


class Difference(NamedTuple):
    """How far a provider is off: the loss relatively, the gradient in units of size + mean size."""

    loss: float
    gradient: float | None

    def against(self, case: Case) -> str | None:
        """Why the provider must not be timed, or None."""
        if not self.loss <= LOSS_TOLERANCE[case.dtype]:
            return f"its loss is off by {self.loss:.1e}, at most {LOSS_TOLERANCE[case.dtype]:.0e} is allowed"
        if self.gradient is not None and not self.gradient <= TOLERANCE[case.dtype]:
            return f"its gradient is off by {self.gradient:.1e}, at most {TOLERANCE[case.dtype]:.0e} is allowed"
        return None


def standard(inputs: Inputs) -> Standard:
    """torch eager in float32."""
    if inputs.head is not None:
        return _linear_standard(inputs, inputs.head)
    logits = inputs.logits.detach().float().requires_grad_(inputs.differentiates)
    target = inputs.target.float() if inputs.target.is_floating_point() else inputs.target
    keywords = {name: _widened(value) for name, value in inputs.keywords.items()}
    loss = recipes.torch_loss(inputs.case.setting, keywords)(logits, target)
    if inputs.differentiates:
        loss.backward(_widened(inputs.upstream))
    return Standard(loss.detach(), None if logits.grad is None else (logits.grad,))


def _linear_standard(inputs: Inputs, head: Tensor) -> Standard:
    leaves = [tensor.detach().float().requires_grad_(inputs.differentiates) for tensor in (inputs.logits, head)]
    loss = torch.nn.functional.cross_entropy(torch.nn.functional.linear(*leaves), inputs.target)
    return Standard(loss.detach(), torch.autograd.grad(loss, leaves) if inputs.differentiates else None)


def _widened(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) else value


def run(step: Step) -> tuple[Tensor, Gradient]:
    """The loss and the gradient of one call."""
    step.prepare()
    loss = step.run().detach().float()
    found = step.gradient()
    return loss, (found,) if isinstance(found, Tensor) else found


def difference(found: tuple[Tensor, Gradient], expected: Standard) -> Difference:
    """NaN where a result is missing or not a number."""
    loss = _relative(found[0], expected.loss)
    if expected.gradient is None:
        return Difference(loss, None)
    if found[1] is None or [g.shape for g in found[1]] != [g.shape for g in expected.gradient]:
        return Difference(loss, float("nan"))
    pairs = zip(found[1], expected.gradient, strict=True)
    offs = [_worst(mine.detach(), theirs) for mine, theirs in pairs]
    return Difference(loss, float("nan") if any(math.isnan(off) for off in offs) else max(offs))


def _relative(found: Tensor, expected: Tensor) -> float:
    if found.shape != expected.shape:
        return float("nan")
    return float((found - expected).abs().max() / expected.abs().max())


def _worst(found: Tensor, expected: Tensor) -> float:
    """max |found - expected| / (|expected| + mean |expected|)."""
    flat, want = found.reshape(-1), expected.reshape(-1)
    mean = float(want.abs().mean())
    worst = want.new_zeros(())
    for start in range(0, want.numel(), CHUNK):
        here = want[start : start + CHUNK]
        off = (flat[start : start + CHUNK].float() - here).abs_()
        worst = torch.maximum(worst, off.div_(here.abs().add_(mean)).max())  # maximum keeps a NaN
    return float(worst)
