"""The measure itself: honest answers pass, planted faults do not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

import arguments as building
import closeness
import runner
from cases import BF16, BY_NAME, F16, F32, F64, Case
from crossent.backends.protocol import compute_dtype

LOSS = BY_NAME["pair-weight-smoothing-mean-f32"]
ROWS = BY_NAME["option-sample_weight-none-f32"]
SPECIAL = BY_NAME["special-mixed-plain-70-sum-f64"]


def answer(case: Case, name: str) -> tuple[Tensor, Tensor, Tensor, torch.dtype]:
    """(ours, exact, noise, compute dtype) of one output or gradient of the reference."""
    made = building.make(case)
    ours = runner.outputs(case, made, "reference")
    up = runner.upstreams(case, ours, 1)
    values, gradients, noise = runner.exact(case, made, up)
    found = {**ours, **{f"d_{key}": value for key, value in runner.gradients(ours, made, up).items()}}
    exact = {**values, **{f"d_{key}": value for key, value in gradients.items()}}
    return found[name].detach(), exact[name].detach(), noise[name], compute_dtype(case.dtype)


def is_close(ours: Tensor, exact: Tensor, noise: Tensor | None, compute: torch.dtype) -> bool:
    try:
        closeness.check("it", ours, exact, noise, compute)
    except AssertionError:
        return False
    return True


@pytest.mark.parametrize("dtype", [F32, BF16, F16, F64], ids=str)
@pytest.mark.parametrize("name", ["loss", "d_input"])
def test_accepts_the_reference(name: str, dtype: torch.dtype) -> None:
    assert is_close(*answer(replace(LOSS, dtype=dtype), name))
    assert is_close(*answer(replace(ROWS, dtype=dtype), name))


@pytest.mark.parametrize("name", ["loss", "d_input", "d_sample_weight"])
@pytest.mark.parametrize("dtype", [F32, BF16, F16], ids=str)
def test_accepts_the_exact_answer_rounded_once(name: str, dtype: torch.dtype) -> None:
    ours, exact, noise, compute = answer(replace(ROWS, dtype=dtype), name)
    assert is_close(exact.to(ours.dtype), exact, noise, compute)


FAULTS: dict[str, Callable[[Tensor], Tensor]] = {
    "rounded to bfloat16": lambda x: x.bfloat16().to(x.dtype),
    "relative error 1e-3": lambda x: x * 1.001,
    "one entry off by 1e-3": lambda x: torch.where(
        torch.arange(x.numel()).view(x.shape) == x.numel() // 2, x * 1.001, x
    ),
    "relative error 1e-5": lambda x: x * 1.00001,
    "wrong sign": lambda x: -x,
    "one row short in the denominator": lambda x: x * (11 / 10),
    "neighbour's entry": lambda x: x.roll(1),
    "NaN": lambda x: torch.full_like(x, torch.nan),
    "infinite": lambda x: torch.full_like(x, torch.inf),
    "zero": torch.zeros_like,
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(
    ("case", "name"), [(LOSS, "d_input"), (ROWS, "loss"), (ROWS, "d_input"), (ROWS, "d_sample_weight")]
)
def test_rejects_a_fault(case: Case, name: str, fault: str) -> None:
    ours, exact, noise, compute = answer(case, name)
    assert is_close(ours, exact, noise, compute)
    assert not is_close(FAULTS[fault](ours), exact, noise, compute)


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if "entry" not in fault])
def test_rejects_a_fault_in_one_number(fault: str) -> None:
    ours, exact, noise, compute = answer(LOSS, "loss")
    assert not is_close(FAULTS[fault](ours), exact, noise, compute)


@pytest.mark.parametrize("dtype", [BF16, F16], ids=str)
def test_rejects_a_coarser_rounding(dtype: torch.dtype) -> None:
    """Two bits fewer than the dtype has."""
    _, exact, noise, compute = answer(replace(ROWS, dtype=dtype), "d_input")
    step = 4 * torch.finfo(dtype).eps
    exponent = exact.abs().clamp_min(1e-3).log2().floor().exp2()
    coarse = ((exact / (step * exponent)).round() * step * exponent).to(dtype)
    assert not is_close(coarse, exact, noise, compute)


def test_special_values_are_compared_exactly() -> None:
    ours, exact, noise, compute = answer(SPECIAL, "d_input")
    assert exact.isnan().any() and (noise == 0).any()
    assert is_close(ours, exact, noise, compute)
    assert not is_close(ours.nan_to_num(0.0), exact, noise, compute), "a missing NaN"
    ignored = 6
    assert (exact[ignored] == 0).all()
    spoilt = ours.clone()
    spoilt[ignored, 1] = 1e-30
    assert not is_close(spoilt, exact, noise, compute), "an ignored row with a gradient"
    spoilt[ignored, 1] = torch.nan
    assert not is_close(spoilt, exact, noise, compute), "an ignored row with NaN"


@pytest.mark.parametrize("wrong", [-torch.inf, torch.nan, 3.4e38])
def test_an_infinity_must_be_that_infinity(wrong: float) -> None:
    ours, exact, noise, compute = answer(BY_NAME["special-minus_inf_target-plain-5-none-f16"], "loss")
    infinite = exact.isinf()
    assert infinite.any()
    assert is_close(ours, exact, noise, compute)
    assert not is_close(torch.where(infinite, wrong, ours.float()), exact, noise, compute)


def test_what_overflows_the_result_is_infinite() -> None:
    exact = torch.tensor([7e4, -7e4], dtype=F64)
    noise = torch.ones(2, dtype=F64)
    assert is_close(exact.half(), exact, noise, F32)
    assert not is_close(-exact.half(), exact, noise, F32)
    assert not is_close(torch.tensor([6e4, -6e4]).half(), exact, noise, F32)


def test_integers_and_shapes() -> None:
    ranks = torch.tensor([1, 2, 3])
    assert is_close(ranks, ranks.clone(), None, F32)
    assert not is_close(ranks, ranks + 1, None, F32)
    assert not is_close(ranks.float(), ranks.double().view(1, 3), torch.ones(1, 3), F32)


def test_the_message_says_where() -> None:
    ours, exact, noise, compute = answer(LOSS, "d_input")
    ours[3, 5] += 1
    with pytest.raises(AssertionError, match=r"d_input: 1 of 407 wrong; at \(3, 5\) .* off by 1, allowed .*e-"):
        closeness.check("d_input", ours, exact, noise, compute)
