"""Every provider on every case, forward and backward, held to the float64 reference; and that to torch.

Providers are the backends that load here, and ``composite``, which serves where a kernel cannot run.
A loss is differentiated three times: with an upstream gradient of 1, again through the same graph with
another one, and that other one first through a fresh graph: an engine that makes the gradient in the
forward pass takes a different path in each.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import pytest
import torch

import arguments as building
import closeness
import runner
import torch_recipes
from cases import BY_NAME, CASES, F64, Case
from crossent.backends.protocol import compute_dtype
from runner import Named

FAST = [case for case in CASES if not case.slow]
SLOW = [pytest.param(case, marks=pytest.mark.slow) for case in CASES if case.slow]
ALL = [*FAST, *SLOW]


def expected_dtype(case: Case, name: str) -> torch.dtype:
    """torch's promotion, unless another dtype was asked for; read-outs are float32 at least."""
    if name in ("loss", "result"):
        given = case.options.get("out_dtype", case.options.get("dtype"))
        return given or torch.promote_types(case.dtype, case.target_dtype or case.dtype)
    return {"predicted": torch.int64, "rank": torch.int64, "correct": torch.bool}.get(name, compute_dtype(case.dtype))


def roundings(case: Case, name: str) -> float:
    """A gradient made in the forward pass is rounded once there and once more by another upstream gradient."""
    two_passes = case.function == "cross_entropy_with_stats"
    return {"d_input": 3.0 if two_passes else 2.0, "d_target": 2.0}.get(name, 1.0)


def bits(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().contiguous().view(-1).view(torch.uint8)


def hold(case: Case, step: str, ours: Named, exact: Named, noise: Named, prefix: str = "") -> None:
    for name, value in ours.items():
        known = noise.get(prefix + name)
        closeness.check(
            f"{step} {prefix}{name}", value, exact[name], known, compute_dtype(case.dtype),
            roundings=roundings(case, prefix + name),
        )  # fmt: skip


class Exact(NamedTuple):
    """What float64 says to one upstream gradient of a case."""

    upstreams: Named
    values: Named
    gradients: Named
    noise: Named


@functools.lru_cache(maxsize=1)  # the providers of a case follow one another
def oracle(name: str) -> tuple[Exact, Exact]:
    """The float64 answers to an upstream gradient of 1 and to another one."""
    case = BY_NAME[name]
    wide = building.make(case).widened()
    values = runner.outputs(case, wide, "reference")
    like = {name: torch.empty(value.shape, dtype=expected_dtype(case, name)) for name, value in values.items()}

    def step(index: int) -> Exact:
        ups = runner.upstreams(case, like, index)
        exact = runner.widened(ups)
        noise = runner.noises(case, wide, values, exact, compute_dtype(case.dtype))
        return Exact(ups, values, runner.gradients(values, wide, exact), noise)

    return step(0), step(1)


@pytest.mark.parametrize("provider", runner.PROVIDERS)
@pytest.mark.parametrize("case", ALL, ids=str)
def test_against_float64(case: Case, provider: str) -> None:
    arguments, (first, other) = building.make(case), oracle(case.name)
    before = arguments.input.detach().clone()
    ours = runner.outputs(case, arguments, provider)
    assert {name: value.dtype for name, value in ours.items()} == {name: expected_dtype(case, name) for name in ours}
    hold(case, "forward", ours, first.values, first.noise)
    got = runner.gradients(ours, arguments, first.upstreams)
    assert {name: gradient.dtype for name, gradient in got.items()} == {n: t.dtype for n, t in arguments.leaves.items()}
    hold(case, "backward", got, first.gradients, first.noise, "d_")
    again = runner.gradients(ours, arguments, other.upstreams)
    hold(case, "second backward", again, other.gradients, other.noise, "d_")
    fresh = arguments.detached()
    ours = runner.outputs(case, fresh, provider)
    got = runner.gradients(ours, fresh, other.upstreams)
    hold(case, "other upstream", got, other.gradients, other.noise, "d_")
    assert torch.equal(bits(arguments.input), bits(before)), "the logits were written to"


@pytest.mark.parametrize("case", [case for case in FAST if not case.unlike_torch], ids=str)
def test_reference_is_torch(case: Case) -> None:
    """In float64 the reference and torch differ by rounding only, values and gradients."""
    arguments = building.make(case).widened()
    ours = runner.outputs(case, arguments, "reference")
    up = runner.upstreams(case, ours, 1)
    fresh = arguments.detached()
    theirs = runner.outputs(case, fresh, "torch")
    noise = runner.noises(case, arguments, ours, up, F64)
    if torch_recipes.torch_itself(case):
        assert {n: (v.dtype, v.shape) for n, v in ours.items()} == {n: (v.dtype, v.shape) for n, v in theirs.items()}
    hold(case, "value", {name: value for name, value in ours.items() if name in theirs}, theirs, noise)
    hold(case, "gradient", runner.gradients(ours, arguments, up), runner.gradients(theirs, fresh, up), noise, "d_")
