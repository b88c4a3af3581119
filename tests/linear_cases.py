"""Calls of a linear head as data, and the plain head they must equal."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

import crossent
from crossent import LinearPlan
from serving import BACKENDS, serving

ENGINES = [parameter for parameter in BACKENDS if parameter.values[0] is not None]


@dataclass(frozen=True)
class LinearCase:
    """One call: ``kind`` is the layout, ``settings`` the options that are set."""

    kind: str
    settings: tuple[str, ...]
    reduction: str
    dtype: torch.dtype = torch.float64
    sizes: dict[str, int] = field(default_factory=lambda: {"N": 11, "H": 6, "V": 7})

    def __str__(self) -> str:
        return "-".join([self.kind, *self.settings, self.reduction, str(self.dtype)[6:]])


KINDS = ("batch", "bias", "one", "inner", "probabilities", "inner-probabilities", "sequence", "shift")
PAIRED = ("shift", "inner")
SETTINGS = (
    "weight", "smoothing", "ignore", "sample_weight", "denominator", "scale_number", "scale_0d", "scale_rows",
    "softcap", "z_loss", "zero",
)  # fmt: skip
PLANS = (None, LinearPlan(rows=3), LinearPlan(rows=4, gradients="recompute"), LinearPlan(rows=1))


def fits(kind: str, settings: tuple[str, ...], reduction: str) -> bool:
    if "ignore" in settings and "probabilities" in kind:
        return False
    return "denominator" not in settings or reduction == "mean"


def cases(dtype: torch.dtype = torch.float64) -> Iterator[LinearCase]:
    """Every layout with every option, and one of each sort with every pair of options; reductions take turns."""
    reductions = itertools.cycle(("mean", "none", "sum", "mean"))
    for kind in KINDS:
        for count in (0, 1, 2) if kind in PAIRED else (0, 1):
            for settings in itertools.combinations(SETTINGS, count):
                if sum(name.startswith("scale") for name in settings) > 1:
                    continue
                for reduction in ("mean", "sum", "none") if count == 0 else (next(reductions),):
                    if fits(kind, settings, reduction):
                        yield LinearCase(kind, settings, reduction, dtype)


@dataclass(frozen=True)
class LinearArguments:
    """Tensors of a call; ``leaves`` are those that a gradient is asked for."""

    input: Tensor
    head: Tensor
    target: Tensor
    keywords: dict[str, Any]
    shift: int | None = None

    @property
    def leaves(self) -> dict[str, Tensor]:
        known: dict[str, Any] = {"input": self.input, "head": self.head, "target": self.target, **self.keywords}
        return {name: value for name, value in known.items() if isinstance(value, Tensor) and value.requires_grad}

    def run(self, **how: Any) -> Tensor:
        """crossent's linear loss."""
        keywords = dict(self.keywords) | how
        if self.shift is not None:
            keywords["shift"] = self.shift
        return crossent.linear_cross_entropy(self.input, self.head, self.target, **keywords)

    def plain(self) -> Tensor:
        """The same loss of the logits of a plain head, under the reference (held to torch elsewhere)."""
        keywords = dict(self.keywords)
        bias = keywords.pop("linear_bias", None)
        logits = F.linear(self.input, self.head.flatten(0, -2), None if bias is None else bias.flatten())
        logits = logits.reshape(*self.input.shape[:-1], *self.head.shape[:-1])
        if self.shift is not None:
            keywords |= {"class_dim": -1, "shift": self.shift}
        return crossent.cross_entropy(logits, self.target, backend="reference", **keywords)

    def on(self, device: str) -> LinearArguments:
        """The same call on a device, leaves of their own."""

        def move(value: Any) -> Any:
            return value.detach().to(device).requires_grad_(value.requires_grad) if isinstance(value, Tensor) else value

        keywords = {name: move(value) for name, value in self.keywords.items()}
        return LinearArguments(move(self.input), move(self.head), move(self.target), keywords, self.shift)

    def to(self, dtype: torch.dtype) -> LinearArguments:
        """The same numbers in another dtype, leaves of their own."""

        def convert(value: Any) -> Any:
            if not isinstance(value, Tensor) or not value.is_floating_point():
                return value
            return value.detach().to(dtype).requires_grad_(value.requires_grad)

        keywords = {name: convert(value) for name, value in self.keywords.items()}
        return LinearArguments(convert(self.input), convert(self.head), convert(self.target), keywords, self.shift)


def make(case: LinearCase) -> LinearArguments:
    """The tensors of a case: the same ones every time."""
    generator = torch.Generator().manual_seed(zlib.crc32(str(case).encode()))

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(case.dtype)

    N, H, V = case.sizes["N"], case.sizes["H"], case.sizes["V"]
    inner = (2, 3) if case.kind.startswith("inner") else ()
    lead = {"one": (), "sequence": (2, N), "shift": (3, N)}.get(case.kind, (N,))
    rows = (*lead, *inner)
    keywords: dict[str, Any] = {"reduction": case.reduction}
    if case.kind in ("bias", "inner", "shift"):
        keywords["linear_bias"] = random(V, *inner).requires_grad_()
    target = torch.randint(0, V, rows, generator=generator)
    if "ignore" in case.settings:
        target = torch.where(torch.rand(rows, generator=generator) < 0.5, -100, target)
    if "probabilities" in case.kind:
        target = random(N, V, *inner).softmax(1).requires_grad_()
    _set_options(case, keywords, rows, random)
    input, head = random(*lead, H).requires_grad_(), random(V, *inner, H).requires_grad_()
    return LinearArguments(input, head, target, keywords, {"sequence": 0, "shift": 2}.get(case.kind))


def _set_options(case: LinearCase, keywords: dict[str, Any], rows: tuple[int, ...], random: Any) -> None:
    known: dict[str, dict[str, Any]] = {
        "weight": {"weight": random(case.sizes["V"]).abs()},
        "smoothing": {"label_smoothing": 0.1},
        "sample_weight": {"sample_weight": random(*rows).requires_grad_()},
        "denominator": {"denominator": 5.0},
        "scale_number": {"logit_scale": 0.7},
        "scale_0d": {"logit_scale": random().requires_grad_()},
        "scale_rows": {"logit_scale": random(*rows).requires_grad_()},
        "softcap": {"softcap": 2.0},
        "z_loss": {"z_loss": 0.01},
        "zero": {"if_all_ignored": "zero"},
    }
    for name in case.settings:
        keywords.update(known.get(name, {}))


def gradients(
    result: torch.Tensor, leaves: dict[str, torch.Tensor], upstream: torch.Tensor, **how: Any
) -> dict[str, Any]:
    values = torch.autograd.grad(result, list(leaves.values()), upstream, allow_unused=True, **how)
    return dict(zip(leaves, values, strict=True))


def check(case: LinearCase, backend: str, plan: Any) -> None:
    arguments = make(case)
    expected = arguments.plain()
    upstream = torch.randn(expected.shape, dtype=expected.dtype)
    theirs = gradients(expected, arguments.leaves, upstream)
    with serving() as calls:
        result = arguments.run(backend=backend, options=plan)
    assert [call.by for call in calls] == [backend]
    torch.testing.assert_close(result, expected, rtol=1e-11, atol=1e-11, equal_nan=True)
    for _ in range(2):  # the second backward makes everything again
        ours = gradients(result, arguments.leaves, upstream, retain_graph=True)
        for name, value in theirs.items():
            torch.testing.assert_close(
                ours[name], value, rtol=1e-9, atol=1e-11, equal_nan=True, msg=lambda text, n=name: f"{n}: {text}"
            )
