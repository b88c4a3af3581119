"""Errors against float64 in every dtype: at most those of the materialised loss at that dtype, plus rounding."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

import crossent
from crossent import LinearPlan
from linear_cases import ENGINES

N, H, V = 512, 48, 700


def problem(dtype: torch.dtype, scale: float = 0.2, V: int = V) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    input = torch.randn(N, H, generator=generator).to(dtype).requires_grad_()
    head = torch.randn(V, H, generator=generator).mul_(scale).to(dtype).requires_grad_()
    return input, head, torch.randint(0, V, (N,), generator=generator)


def results(loss: Any, input: torch.Tensor, head: torch.Tensor) -> list[torch.Tensor]:
    value = loss(input, head)
    return [value, *torch.autograd.grad(value, (input, head))]


def off(found: torch.Tensor, exact: torch.Tensor) -> float:
    return float((found.detach().double() - exact.detach()).norm() / exact.detach().norm())


@pytest.mark.parametrize("backend", ENGINES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64], ids=str)
@pytest.mark.parametrize(
    "plan", [LinearPlan(rows=128), LinearPlan(classes=300), LinearPlan(classes=300, rows=100)], ids=str
)
def test_no_worse_than_the_materialised_loss(dtype: torch.dtype, backend: str, plan: LinearPlan) -> None:
    input, head, target = problem(dtype)
    wide = [tensor.detach().double().requires_grad_() for tensor in (input, head)]
    exact = results(lambda x, w: F.cross_entropy(F.linear(x, w), target), *wide)
    theirs = results(lambda x, w: F.cross_entropy(F.linear(x, w), target), input, head)
    ours = results(lambda x, w: crossent.linear_cross_entropy(x, w, target, options=plan, backend=backend), input, head)
    for name, mine, other, truth in zip(("loss", "d input", "d head"), ours, theirs, exact, strict=True):
        assert mine.dtype == dtype
        floor = off(truth.to(dtype), truth)  # the truth, rounded once
        allowed = off(other, truth) + 0.5 * floor + 4 * torch.finfo(torch.promote_types(dtype, torch.float32)).eps
        assert off(mine, truth) <= allowed, (name, off(mine, truth), off(other, truth), floor)


@pytest.mark.parametrize("backend", ENGINES)
@pytest.mark.parametrize("upstream", [1.0, 0.3])
def test_a_16_bit_weight_gradient_is_rounded_once(backend: str, upstream: float) -> None:
    # As at the start of a training with a large vocabulary: a class that is hit has that hidden state as its
    # gradient, and softmax - 1 is close to -1 (with few classes its rounding to 16 bits would be the same for all).
    input, head, target = problem(torch.bfloat16, 0.02, 16000)
    wide = [tensor.detach().double().requires_grad_() for tensor in (input, head)]
    exact = torch.autograd.grad(F.cross_entropy(F.linear(*wide), target) * upstream, wide[1])[0]
    loss = crossent.linear_cross_entropy(
        input, head, target, out_dtype=torch.float32, options=LinearPlan(rows=128), backend=backend
    )
    found = torch.autograd.grad(loss * upstream, head)[0]
    assert found.dtype == torch.bfloat16
    floor = off(exact.bfloat16(), exact)
    assert off(found, exact) <= 1.5 * floor


@pytest.mark.parametrize("backend", ENGINES)
@pytest.mark.parametrize(
    "plan", [None, LinearPlan(rows=3), LinearPlan(classes=2), LinearPlan(classes=2, rows=3)], ids=str
)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_masked_classes(plan: LinearPlan | None, smoothing: float, backend: str) -> None:
    """A bias of -inf takes a class out; a target there costs inf."""
    input, head = torch.randn(8, 4, dtype=torch.float64, requires_grad=True), torch.randn(7, 4, dtype=torch.float64)
    head.requires_grad_()
    bias = torch.zeros(7, dtype=torch.float64)
    bias[3], bias[6] = -torch.inf, -torch.inf
    target = torch.tensor([0, 1, 2, 4, 5, 3, 0, 1])

    def ours(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        return crossent.linear_cross_entropy(
            x, w, target, linear_bias=bias, options=plan, backend=backend, reduction="sum", label_smoothing=smoothing
        )

    def theirs(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        logits = F.linear(x, w, bias)
        return crossent.cross_entropy(logits, target, reduction="sum", label_smoothing=smoothing, backend="reference")

    for masked_target in (True, False):
        if not masked_target:
            target = torch.where(target == 3, 0, target)
        for mine, other in zip(results(ours, input, head), results(theirs, input, head), strict=True):
            torch.testing.assert_close(mine, other, equal_nan=True)
            assert masked_target or smoothing or mine.isfinite().all()
