"""A provider held to the float64 oracle on one case: forward, backward, a second backward, another upstream gradient.

The oracle is the reference backend on the CPU, whatever device the provider computes on.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import torch

import arguments as building
import closeness
import runner
from cases import BY_NAME, Case
from crossent.backends.protocol import compute_dtype
from runner import Named


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
            f"{step} {prefix}{name}", value.detach().cpu(), exact[name], known, compute_dtype(case.dtype),
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


def check(case: Case, provider: str, device: str = "cpu") -> None:
    """The provider's answers and gradients, three times differentiated, against those of float64."""
    arguments, (first, other) = building.make(case).on(device), oracle(case.name)
    ups = [{name: building.on_device(up, device) for name, up in exact.upstreams.items()} for exact in (first, other)]
    before = arguments.input.detach().clone()
    ours = runner.outputs(case, arguments, provider)
    assert {name: value.dtype for name, value in ours.items()} == {name: expected_dtype(case, name) for name in ours}
    hold(case, "forward", ours, first.values, first.noise)
    got = runner.gradients(ours, arguments, ups[0])
    assert {name: gradient.dtype for name, gradient in got.items()} == {n: t.dtype for n, t in arguments.leaves.items()}
    hold(case, "backward", got, first.gradients, first.noise, "d_")
    again = runner.gradients(ours, arguments, ups[1])
    hold(case, "second backward", again, other.gradients, other.noise, "d_")
    fresh = arguments.detached()
    ours = runner.outputs(case, fresh, provider)
    got = runner.gradients(ours, fresh, ups[1])
    hold(case, "other upstream", got, other.gradients, other.noise, "d_")
    assert torch.equal(bits(arguments.input), bits(before)), "the logits were written to"
