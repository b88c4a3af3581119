"""Error against float64 beside torch's own, over many random cases and the table of special values.

Each tensor of each case: error <= torch's at the same dtype + the bound of closeness.py. Over all cases:
median, 99th percentile and maximum <= torch's. CROSSENT_ACCURACY_CASES=10000 is the full run; `-s` shows
the table. An error is the largest of a tensor, relative to the largest exact entry of that tensor.
"""

from __future__ import annotations

import os
from collections import defaultdict
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

import arguments as building
import closeness
import runner
import torch_recipes
from cases import CASES, F64, SHORT, Case
from crossent.backends.protocol import compute_dtype
from random_cases import random_cases

COUNT = int(os.environ.get("CROSSENT_ACCURACY_CASES", "1000"))
QUANTILES = {"median": 0.5, "99 %": 0.99, "maximum": 1.0}

Key = tuple[str, str, str]  # whose function, dtype, value or gradient


class Pair(NamedTuple):
    """Relative errors of one tensor."""

    ours: float
    torchs: float


def relative(found: Tensor, exact: Tensor, compute: torch.dtype) -> float:
    """Largest error over the entries whose exact value is finite; infinite where NaN or inf came instead.

    0 where everything underflows: there is nothing to be relative to.
    """
    finite = exact.isfinite()
    if not finite.any():
        return 0.0
    error = torch.where(finite, (found.double() - exact).abs(), 0.0).nan_to_num(torch.inf)
    largest = torch.where(finite, exact.abs(), 0.0).max()
    return float(error.max() / largest) if largest > torch.finfo(compute).tiny else 0.0


def measure(case: Case, provider: str, found: dict[Key, list[Pair]]) -> None:
    """Hold one case to its bound and note its errors and torch's."""
    made = building.make(case)
    theirs_made = made.detached()
    ours, theirs = (runner.outputs(case, each, by) for each, by in ((made, provider), (theirs_made, "torch")))
    up = runner.upstreams(case, ours, 0)
    values, gradients, noise = runner.exact(case, made, up)
    theirs_up = {name: gradient.to(theirs[name].dtype) for name, gradient in up.items()}
    their_gradients = runner.gradients(theirs, theirs_made, theirs_up)
    whose = "torch's function" if torch_recipes.torch_itself(case) else "made of torch's parts"
    compute = compute_dtype(case.dtype)
    for name, value in ours.items():
        if value.is_floating_point() and name in theirs and value.numel():
            pair = _pair(f"{case}: {name}", value, theirs[name], values[name], noise[name], compute)
            found[whose, SHORT[case.dtype], "value"].append(pair)
    for name, gradient in runner.gradients(ours, made, up).items():
        if gradient.numel():
            label, exact = f"{case}: d_{name}", gradients[name]
            pair = _pair(label, gradient, their_gradients[name], exact, noise[f"d_{name}"], compute)
            found[whose, SHORT[case.dtype], "gradient"].append(pair)


def _pair(label: str, ours: Tensor, theirs: Tensor, exact: Tensor, noise: Tensor, compute: torch.dtype) -> Pair:
    ours, theirs, exact = ours.detach(), theirs.detach(), exact.detach()
    error = (theirs.double() - exact).abs()
    torch_error = float(error[error.isfinite()].max()) if error.isfinite().any() else 0.0
    closeness.check(label, ours, exact, noise, compute, torch_error=torch_error)
    return Pair(relative(ours, exact, compute), relative(theirs, exact, compute))


def quantiles(errors: list[float]) -> list[float]:
    ordered = sorted(errors)
    return [ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in QUANTILES.values()]


def table(provider: str, found: dict[Key, list[Pair]]) -> str:
    lines = [f"{provider}: relative error against float64, crossent / torch"]
    for key, pairs in sorted(found.items()):
        ours, theirs = quantiles([pair.ours for pair in pairs]), quantiles([pair.torchs for pair in pairs])
        cells = "  ".join(f"{name} {a:.1e} / {b:.1e}" for name, a, b in zip(QUANTILES, ours, theirs, strict=True))
        lines.append(f"{key[0]:22} {key[1]:4} {key[2]:8} {len(pairs):6}  {cells}")
    return "\n".join(lines)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("provider", runner.PROVIDERS)
def test_no_further_from_float64_than_torch(provider: str) -> None:
    found: dict[Key, list[Pair]] = defaultdict(list)
    edges = [case for case in CASES if case.name.startswith("special-") and not case.unlike_torch]
    for case in (*random_cases(COUNT, largest=4000), *edges):
        measure(case, provider, found)
    print("\n" + table(provider, found))
    for key, pairs in found.items():
        # The claim over all cases is an engine's; reference and composite are torch's own operations.
        if key[0] != "torch's function" or key[1] == SHORT[F64] or provider in ("reference", "composite"):
            continue
        ours, theirs = quantiles([pair.ours for pair in pairs]), quantiles([pair.torchs for pair in pairs])
        for name, mine, other in zip(QUANTILES, ours, theirs, strict=True):
            assert mine <= other, f"{provider} {key} {name}: {mine:.3g}, torch {other:.3g}"


def test_a_few_cases_of_the_accuracy_run() -> None:
    """The slow run above works: a few cases of it, and its table."""
    found: dict[Key, list[Pair]] = defaultdict(list)
    for case in random_cases(25, largest=300):
        measure(case, "reference", found)
    assert "f32" in table("reference", found)
