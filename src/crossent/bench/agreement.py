"""Results first: before anybody is timed, losses and gradients are held against each other.

The standard is torch eager in float32 on the same logits (which for 16-bit logits are widened exactly). An element of a
gradient may be off by ``tolerance * (its size + the mean size of all elements)``: most elements of a gradient are
small (softmax), a few are large (labels), and a provider that gets only the large ones right must not pass. The
tolerance of bfloat16 is that of torch eager, which saves log-probabilities near -10 in steps of 1/16.
"""

from __future__ import annotations

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


class Standard(NamedTuple):
    """What every provider must come to."""

    loss: Tensor
    gradient: Tensor | None


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
    logits = inputs.logits.detach().float().requires_grad_(inputs.differentiates)
    target = inputs.target.float() if inputs.target.is_floating_point() else inputs.target
    keywords = {name: _widened(value) for name, value in inputs.keywords.items()}
    loss = recipes.torch_loss(inputs.case.setting, keywords)(logits, target)
    if inputs.differentiates:
        loss.backward(_widened(inputs.upstream))
    return Standard(loss.detach(), logits.grad)


def _widened(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) else value


def run(step: Step) -> tuple[Tensor, Tensor | None]:
    """The loss and the gradient of one call."""
    step.prepare()
    loss = step.run().detach().float()
    return loss, step.gradient()


def difference(found: tuple[Tensor, Tensor | None], expected: Standard) -> Difference:
    """NaN where a result is missing or not a number."""
    loss = _relative(found[0], expected.loss)
    if expected.gradient is None:
        return Difference(loss, None)
    if found[1] is None or found[1].shape != expected.gradient.shape:
        return Difference(loss, float("nan"))
    return Difference(loss, _worst(found[1].detach(), expected.gradient))


def _relative(found: Tensor, expected: Tensor) -> float:
    if found.shape != expected.shape:
        return float("nan")
    return float((found - expected).abs().max() / expected.abs().max())


def _worst(found: Tensor, expected: Tensor) -> float:
    """max |found - expected| / (|expected| + mean |expected|)."""
    flat, want = found.reshape(-1), expected.reshape(-1)
    mean = float(want.abs().mean())
    worst = torch.zeros(())
    for start in range(0, want.numel(), CHUNK):
        here = want[start : start + CHUNK]
        off = (flat[start : start + CHUNK].float() - here).abs_()
        worst = torch.maximum(worst, off.div_(here.abs().add_(mean)).max())  # maximum keeps a NaN
    return float(worst)
