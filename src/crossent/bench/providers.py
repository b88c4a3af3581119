"""Who is measured. A provider turns the inputs of a case into a :class:`Step`; all steps are used alike.

A step is timed from the call of the loss to the end of its backward. What comes before is not timed, for anybody:
``.grad`` set to None, so that the gradient comes from memory that the allocator hands out anew; for the in-place loss
the logits put back, which the last call has overwritten.
"""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

import crossent
from crossent.bench import cases, recipes
from crossent.bench.cases import BOTH, FRESH, IN_PLACE, NO_BUFFER, Case
from crossent.bench.inputs import Inputs


@dataclass(slots=True)
class Step:
    """One call, ready to be made as often as one likes."""

    prepare: Callable[[], None]
    run: Callable[[], Tensor]  # returns the loss
    gradient: Callable[[], Tensor | None]


class Provider(NamedTuple):
    """``why_not(case)`` is None where it can be measured."""

    name: str
    make: Callable[[Inputs], Step]
    why_not: Callable[[Case], str | None]
    in_place: bool = False
    compiles: bool = False  # what was made for one shape is made again for another

    @property
    def label(self) -> str:
        return f"{self.name} {IN_PLACE}" if self.in_place else self.name


def buffer_of(provider: Provider, case: Case) -> str:
    """Where the gradient of a call in an untouched process goes."""
    return NO_BUFFER if case.mode != BOTH else IN_PLACE if provider.in_place else FRESH


def _step(inputs: Inputs, loss: recipes.Loss) -> Step:
    logits, target, upstream = inputs.logits, inputs.target, inputs.upstream

    def prepare() -> None:
        logits.grad = None

    def forward() -> Tensor:
        return loss(logits, target)

    def both() -> Tensor:
        value = loss(logits, target)
        value.backward(upstream)
        return value

    return Step(prepare, both if inputs.differentiates else forward, lambda: logits.grad)


def _crossent_loss(inputs: Inputs, **more: Any) -> recipes.Loss:
    keywords: dict[str, Any] = {**inputs.keywords, **more}
    return lambda logits, target: crossent.cross_entropy(logits, target, **keywords)


def _compiled(loss: recipes.Loss) -> recipes.Loss:
    # One shape per process: without dynamic=False nothing would change but the risk of a generic kernel.
    return torch.compile(loss, dynamic=False)


def eager(inputs: Inputs) -> Step:
    return _step(inputs, recipes.torch_loss(inputs.case.setting, inputs.keywords))


def compiled(inputs: Inputs) -> Step:
    return _step(inputs, _compiled(recipes.torch_loss(inputs.case.setting, inputs.keywords)))


def ours(inputs: Inputs) -> Step:
    return _step(inputs, _crossent_loss(inputs))


def ours_compiled(inputs: Inputs) -> Step:
    return _step(inputs, _compiled(_crossent_loss(inputs)))


class _Produced(torch.autograd.Function):
    """Logits as a model hands them on: not a leaf, in memory of their own. Keeps the gradient that arrives."""

    @staticmethod
    def forward(ctx: Any, root: Tensor, place: list[Tensor]) -> Tensor:
        ctx.place = place
        return place[0].detach()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        ctx.place[1:] = [gradients[0]]
        return None, None


def ours_in_place(inputs: Inputs) -> Step:
    master, target, upstream = inputs.logits.detach(), inputs.target, inputs.upstream
    place = [master.clone()]
    root = torch.zeros((), requires_grad=True)
    loss = _crossent_loss(inputs, inplace=True)
    logits: list[Tensor] = []

    def prepare() -> None:
        place[1:] = []
        place[0].copy_(master)
        logits[:] = [_Produced.apply(root, place)]  # pyright: ignore[reportArgumentType]

    def run() -> Tensor:
        value = loss(logits[0], target)
        value.backward(upstream)
        return value

    return Step(prepare, run, lambda: place[1] if len(place) > 1 else None)


def _always(case: Case) -> str | None:
    return None


def _in_place_why_not(case: Case) -> str | None:
    if "inplace" not in inspect.signature(crossent.cross_entropy).parameters:
        return "this version of crossent has no inplace="
    if case.mode != BOTH:
        return "forward only"
    return "the upstream gradient is not one number" if case.setting.reduction == "none" else None


def _needs_cuda(module: str) -> Callable[[Case], str | None]:
    def why_not(case: Case) -> str | None:
        if importlib.util.find_spec(module) is None:
            return f"{module} is not installed"
        return f"{module} has no CPU kernels"

    return why_not


def _not_here(inputs: Inputs) -> Step:
    raise NotImplementedError  # a peer without a CPU kernel: why_not says so


EAGER = Provider(cases.EAGER, eager, _always)
COMPILED = Provider(cases.COMPILED, compiled, _always, compiles=True)
OURS = Provider(cases.OURS, ours, _always)
OURS_IN_PLACE = Provider(cases.OURS, ours_in_place, _in_place_why_not, in_place=True)
OURS_COMPILED = Provider("crossent in torch.compile", ours_compiled, _always, compiles=True)

# Peers with a cross entropy of their own. All known ones run on CUDA only; a row is added when that changes.
PEERS = tuple(
    Provider(name, _not_here, _needs_cuda(module))
    for name, module in (("liger-kernel", "liger_kernel"), ("quack", "quack"), ("apex", "apex"))
)
ALL = (EAGER, COMPILED, OURS, OURS_IN_PLACE, OURS_COMPILED, *PEERS)


def by_label(label: str) -> Provider:
    """The provider that is printed as ``label``."""
    return next(provider for provider in ALL if provider.label == label)
