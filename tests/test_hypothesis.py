"""Whatever the shape, the strides, the dtype and the options: every provider is as close as closeness.py asks.

The fast profile draws the same few examples every time; the slow test draws many new ones.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

import arguments as building
import closeness
import runner
from cases import Case
from crossent.backends.protocol import compute_dtype
from random_cases import draw_case

QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]
fast = settings(max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=QUIET)
thorough = settings(max_examples=3000, deadline=None, database=None, suppress_health_check=QUIET)


@st.composite
def calls(draw: st.DrawFn, largest: int) -> Case:
    return draw_case(lambda choices: draw(st.sampled_from(list(choices))), largest=largest)


def hold(case: Case, provider: str) -> None:
    event(case.function)
    made = building.make(case)
    ours = runner.outputs(case, made, provider)
    up = runner.upstreams(case, ours, 1)
    values, gradients, noise = runner.exact(case, made, up)
    compute = compute_dtype(case.dtype)
    for name, value in ours.items():
        closeness.check(f"{case.name}: {name}", value, values[name], noise.get(name), compute)
    for name, gradient in runner.gradients(ours, made, up).items():
        name = f"d_{name}"
        roundings = 3.0 if case.function == "cross_entropy_with_stats" else 2.0
        closeness.check(
            f"{case.name}: {name}", gradient, gradients[name[2:]], noise[name], compute, roundings=roundings
        )


@pytest.mark.parametrize("provider", runner.PROVIDERS)
def test_any_call(provider: str) -> None:
    @fast
    @given(calls(600))
    def examples(case: Case) -> None:
        hold(case, provider)

    examples()


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("provider", runner.PROVIDERS)
def test_any_call_thoroughly(provider: str) -> None:
    @thorough
    @given(calls(5000))
    def examples(case: Case) -> None:
        hold(case, provider)

    examples()
