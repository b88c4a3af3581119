"""Who is measured. A provider turns the inputs of a case into a :class:`Step`; all steps are used alike.

A step is timed from the call of the loss to the end of its backward. What comes before is not timed, for anybody:
``.grad`` set to None, so that the gradient comes from memory that the allocator hands out anew; for the in-place loss
the logits put back, which the last call has overwritten.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

import crossent
from crossent.bench import cases, peers, recipes
from crossent.bench.cases import BOTH, FRESH, IN_PLACE, NO_BUFFER, Case
from crossent.bench.inputs import Inputs
from crossent.linear import counted


@dataclass(slots=True)
class Step:
    """One call, ready to be made as often as one likes."""

    prepare: Callable[[], None]
    run: Callable[[], Tensor]  # returns the loss
    gradient: Callable[[], Tensor | tuple[Tensor, ...] | None]


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
    leaves = [leaf for leaf in (logits, inputs.head) if leaf is not None]

    def prepare() -> None:
        for leaf in leaves:
            leaf.grad = None

    def gradient() -> tuple[Tensor, ...] | None:
        known = tuple(leaf.grad for leaf in leaves if leaf.grad is not None)
        return known if len(known) == len(leaves) else None

    def forward() -> Tensor:
        return loss(logits, target)

    def both() -> Tensor:
        value = loss(logits, target)
        value.backward(upstream)
        return value

    return Step(prepare, both if inputs.differentiates else forward, gradient)


def _crossent_loss(inputs: Inputs, **more: Any) -> recipes.Loss:
    keywords: dict[str, Any] = {**inputs.keywords, **more}
    head = inputs.head
    if head is not None:
        return lambda hidden, target: crossent.linear_cross_entropy(hidden, head, target, **keywords)
    return lambda logits, target: crossent.cross_entropy(logits, target, **keywords)


def _compiled(loss: recipes.Loss) -> recipes.Loss:
    # One shape per process: without dynamic=False nothing would change but the risk of a generic kernel.
    return torch.compile(loss, dynamic=False)


def _torch_loss(inputs: Inputs) -> recipes.Loss:
    head = inputs.head
    if head is not None:  # as models write it: the loss of 16-bit logits is taken in float32
        return lambda hidden, target: F.cross_entropy(F.linear(hidden, head).float(), target)
    return recipes.torch_loss(inputs.case.setting, inputs.keywords)


def eager(inputs: Inputs) -> Step:
    return _step(inputs, _torch_loss(inputs))


def compiled(inputs: Inputs) -> Step:
    return _step(inputs, _compiled(_torch_loss(inputs)))


def _peer(loss_of: Callable[[Any], recipes.Loss]) -> Callable[[Inputs], Step]:
    return lambda inputs: _step(inputs, loss_of(inputs.head))


def ours(inputs: Inputs) -> Step:
    return _step(inputs, _crossent_loss(inputs))


def plans(inputs: Inputs) -> dict[str, Step]:
    """The loss of a linear head by the plan's own choice, and by every plan that could have been chosen."""
    rows = sorted({min(count, inputs.case.rows) for count in (256, 512, 1024, 2048, 4096, 8192)})
    ways: dict[str, dict[str, Any]] = {f"rows={count}": {"rows": count} for count in rows}
    ways |= {"recompute": {"gradients": "recompute"}, "classes=16384": {"classes": 16384}}
    ways["16-bit sums"] = {"accumulate": inputs.logits.dtype}
    steps = {
        name: _step(inputs, _crossent_loss(inputs, options=crossent.LinearPlan(**way))) for name, way in ways.items()
    }
    if inputs.case.setting.ignored and inputs.head is not None:
        dtype, features = inputs.head.dtype, inputs.head.shape[1]
        if counted.why_not(inputs.head.device, dtype, features) is None:  # not told how many rows count
            way = {"options": crossent.LinearPlan(counted=True), "valid_rows": None}
            steps["counted"] = _step(inputs, _crossent_loss(inputs, **way))
    return {"choice": ours(inputs), **steps}


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
    return _in_place_step(inputs, _crossent_loss(inputs, inplace=True))


def _in_place_step(inputs: Inputs, loss: recipes.Loss) -> Step:
    """The step of a loss that overwrites its logits; they are put back before each call."""
    master, target, upstream = inputs.logits.detach(), inputs.target, inputs.upstream
    place = [master.clone()]
    root = torch.zeros((), requires_grad=inputs.differentiates)
    logits: list[Tensor] = []

    def prepare() -> None:
        place[1:] = []
        place[0].copy_(master)
        logits[:] = [_Produced.apply(root, place)]  # pyright: ignore[reportArgumentType]

    def run() -> Tensor:
        value = loss(logits[0], target)
        if inputs.differentiates:
            value.backward(upstream)
        return value

    return Step(prepare, run, lambda: place[1] if len(place) > 1 else None)


def _liger(inputs: Inputs) -> Step:
    return _in_place_step(inputs, peers.liger(None))


def _always(case: Case) -> str | None:
    return None


def _in_place_why_not(case: Case) -> str | None:
    if case.features:
        return "a linear head makes its logits itself"
    if "inplace" not in inspect.signature(crossent.cross_entropy).parameters:
        return "this version of crossent has no inplace="
    if case.mode != BOTH:
        return "forward only"
    return "the upstream gradient is not one number" if case.setting.reduction == "none" else None


EAGER = Provider(cases.EAGER, eager, _always)
COMPILED = Provider(cases.COMPILED, compiled, _always, compiles=True)
OURS = Provider(cases.OURS, ours, _always)
OURS_IN_PLACE = Provider(cases.OURS, ours_in_place, _in_place_why_not, in_place=True)
OURS_COMPILED = Provider("crossent in torch.compile", ours_compiled, _always, compiles=True)

# Peers with a cross entropy of their own (peers.py). liger's overwrites the logits, in evaluation too.
PEERS = (
    Provider("torch chunked", _peer(peers.torchs_chunked), peers.torchs_chunked_why_not),
    Provider(
        "liger-kernel", _liger, peers.why_not("liger_kernel", linear=False), in_place=True,
    ),
    Provider("liger-kernel linear", _peer(peers.liger_linear), peers.why_not("liger_kernel", linear=True)),
    Provider("quack", _peer(peers.quack), peers.why_not("quack", linear=False)),
    Provider("quack linear", _peer(peers.quack_linear), peers.why_not("quack", linear=True)),
    Provider("cut-cross-entropy", _peer(peers.cut), peers.why_not("cut_cross_entropy", linear=True)),
)  # fmt: skip
ALL = (EAGER, COMPILED, OURS, OURS_IN_PLACE, OURS_COMPILED, *PEERS)


def by_label(label: str) -> Provider:
    """The provider that is printed as ``label``."""
    return next(provider for provider in ALL if provider.label == label)
