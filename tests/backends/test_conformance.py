"""Every provider on every case, forward and backward, held to the float64 reference; and that to torch.

Providers are the backends that load here, and ``composite``, which serves where a kernel cannot run.
A loss is differentiated three times: with an upstream gradient of 1, again through the same graph with
another one, and that other one first through a fresh graph: an engine that makes the gradient in the
forward pass takes a different path in each.
"""

from __future__ import annotations

import pytest

import arguments as building
import conformance
import runner
import torch_recipes
from cases import CASES, F64, Case
from conformance import hold

FAST = [case for case in CASES if not case.slow]
SLOW = [pytest.param(case, marks=pytest.mark.slow) for case in CASES if case.slow]


@pytest.mark.parametrize("provider", runner.PROVIDERS)
@pytest.mark.parametrize("case", [*FAST, *SLOW], ids=str)
def test_against_float64(case: Case, provider: str) -> None:
    conformance.check(case, provider)


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
