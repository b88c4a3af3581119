"""memory_budget: what is chosen, what it computes, what is refused, and what it really allocates."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import crossent
from crossent import LinearPlan
from crossent.linear.plan import Sizes, least_bytes, steps
from linear_cases import ENGINES, LinearCase, cases, check, gradients, make

SIZES = Sizes(
    rows=8192, inner=1, classes=128256, features=2048, dtype=torch.bfloat16, weight_dtype=torch.bfloat16, copies=0,
    scratch=0, wants_weight=True, may_keep=True,
)  # fmt: skip
SLABS = [
    case for case in cases() if case.kind in ("bias", "shift", "inner", "probabilities") and len(case.settings) < 2
]


@pytest.mark.parametrize("backend", ENGINES)
@pytest.mark.parametrize("rows", [None, 4])
@pytest.mark.parametrize("kind", sorted({case.kind for case in SLABS}))
def test_slabs_of_classes_are_the_same_loss(kind: str, rows: int | None, backend: str) -> None:
    for case in SLABS:
        if case.kind == kind:
            for classes in (3,):
                check(case, backend, LinearPlan(rows=rows, classes=classes))


@pytest.mark.parametrize("backend", ENGINES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_every_budget_gives_the_same_result(backend: str, dtype: torch.dtype) -> None:
    """From one tile to everything: within the order of float32 sums, and one rounding of the result."""
    arguments = make(LinearCase("bias", ("ignore", "weight", "softcap"), "mean", dtype, {"N": 40, "H": 16, "V": 64}))
    wide = arguments.to(torch.float64)
    loss64 = wide.plain()
    exact = gradients(loss64, wide.leaves, torch.ones_like(loss64))
    served = 0
    for budget in (4_000, 6_000, 10_000, 20_000, 100_000, 10_000_000):
        try:
            loss = arguments.run(backend=backend, memory_budget=budget)
        except ValueError as refusal:
            assert refusal.crossent_code == "XEN054"
            continue
        served += 1
        eps = torch.finfo(dtype).eps
        torch.testing.assert_close(loss.double(), loss64, rtol=4 * eps, atol=4 * eps)
        for name, value in gradients(loss, arguments.leaves, torch.ones_like(loss)).items():
            norm = exact[name].norm()
            assert (value.double() - exact[name]).norm() <= 4 * eps * norm, (budget, name)
    assert served >= 3


def test_the_plan_shrinks_with_the_budget() -> None:
    accumulator = 4 * 128256 * 2048 + (8 << 20)
    known = steps(LinearPlan(), None, SIZES)
    assert known.keeps and known.rows >= 256 and known.classes == 128256 and known.accumulate == torch.float32
    tight = steps(LinearPlan(), accumulator + 8192 * 96 + 100 * 128256 * 2, SIZES)
    assert tight.classes == 128256 and 90 <= tight.rows <= 100
    slabs = steps(LinearPlan(), accumulator, SIZES)
    assert slabs.classes < 128256 and slabs.rows == 8192 and slabs.whole_rows >= 256
    tiny = steps(LinearPlan(), 2_000_000, SIZES)
    assert tiny.classes < 4096 and tiny.whole_rows >= 1
    least = least_bytes(SIZES, torch.float32)
    assert steps(LinearPlan(), least, SIZES).rows == 1
    with pytest.raises(ValueError, match=f"at least {least} bytes"):
        steps(LinearPlan(), least - 1, SIZES)


def test_slabs_are_not_needed_without_an_accumulator() -> None:
    sizes = replace(SIZES, dtype=torch.float32, weight_dtype=torch.float32)
    assert steps(LinearPlan(), 8192 * 96 + 4 * 128256 * 3, sizes).classes == 128256


@pytest.mark.parametrize("budget", [0, -1, 1.5, "1 GB", True])
def test_a_budget_is_a_number_of_bytes(budget: object) -> None:
    with pytest.raises(ValueError, match="XEN030"):
        crossent.linear_cross_entropy(
            torch.ones(2, 3), torch.ones(4, 3), torch.zeros(2, dtype=torch.long), memory_budget=budget
        )


@pytest.mark.parametrize(
    "values", [{"rows": 0}, {"rows": 1.0}, {"gradients": "x"}, {"accumulate": int}, {"classes": -1}]
)
def test_a_plan_checks_its_values(values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="LinearPlan"):
        LinearPlan(**values)
