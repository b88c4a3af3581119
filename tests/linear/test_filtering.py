"""filter_eps: the error bound, what is dropped, and what is not touched."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import crossent
from crossent import LinearPlan
from crossent.linear import filtering
from linear_cases import ENGINES

N, H, V = 96, 24, 600
EPS = 1e-3


def peaked(dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Rows as a trained model has them: the mass is on classes that are near the hidden state."""
    generator = torch.Generator().manual_seed(0)
    head = torch.randn(V, H, generator=generator, dtype=torch.float64)
    target = torch.randint(0, V // 4, (N,), generator=generator)
    input = 0.8 * head[target] + 0.1 * torch.randn(N, H, generator=generator, dtype=torch.float64)
    return input.to(dtype).requires_grad_(), head.to(dtype).requires_grad_(), target


def run(input: torch.Tensor, head: torch.Tensor, target: torch.Tensor, **how: Any) -> list[torch.Tensor]:
    loss = crossent.linear_cross_entropy(input, head, target, options=LinearPlan(rows=32), **how)
    return [loss, *torch.autograd.grad(loss.sum(), (input, head))]


@pytest.mark.parametrize("backend", ENGINES)
@pytest.mark.parametrize(
    ("how", "upstream"),  # the least upstream gradient of a row that has one
    [
        ({}, 1 / N),
        ({"reduction": "sum"}, 1.0),
        ({"reduction": "none"}, 1.0),
        ({"sample_weight": torch.linspace(0, 1, N, dtype=torch.float64).round()}, 1 / (N / 2)),
        ({"label_smoothing": 0.1}, 1 / N),
        ({"softcap": 30.0, "z_loss": 1e-3, "logit_scale": 0.9}, 1 / N),
        ({"weight": torch.linspace(0.5, 2, V, dtype=torch.float64), "denominator": 7.0}, 1 / 7),
    ],
    ids=lambda how: "-".join(how) or "plain" if isinstance(how, dict) else "",
)
def test_the_error_is_within_its_bound(how: dict[str, Any], upstream: float, backend: str) -> None:
    input, head, target = peaked()
    exact = run(input, head, target, backend=backend, **how)
    with filtering.counting() as count:
        found = run(input, head, target, backend=backend, filter_eps=EPS, **how)
    if "label_smoothing" not in how:
        assert 0.3 < count.fraction < 1.0 and count.blocks >= 3 * V, (count.blocks, count.skipped)
    assert torch.equal(found[0], exact[0])
    bound = EPS * upstream * torch.linalg.vector_norm(head, dim=1).sum()
    off = torch.linalg.vector_norm(found[1] - exact[1], dim=1).max()
    assert off <= bound and ("label_smoothing" in how or off > 1e-6 * bound)
    bound = EPS * upstream * torch.linalg.vector_norm(input, dim=1).sum()
    assert torch.linalg.vector_norm(found[2] - exact[2], dim=1).max() <= bound


@pytest.mark.parametrize("backend", ENGINES)
def test_what_is_dropped_is_exactly_what_is_small(backend: str) -> None:
    """Against the definition: blocks of 32 rows by one class whose elements are all below eps * u."""
    input, head, target = peaked()
    found = run(input, head, target, backend=backend, filter_eps=EPS)
    with torch.no_grad():
        d_logits = (input @ head.T).softmax(1)
        d_logits[torch.arange(N), target] -= 1
        small = d_logits.abs().view(3, 32, V).amax(1) < EPS
        assert small.sum(1).min() > 0.4 * V  # else a chunk is worth no gathering
        d_logits = torch.where(small.repeat_interleave(32, 0), 0.0, d_logits) / N
        torch.testing.assert_close(found[1], d_logits @ head)
        torch.testing.assert_close(found[2], d_logits.T @ input)


@pytest.mark.parametrize("backend", ENGINES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_other_dtypes_bias_and_ignored_rows(dtype: torch.dtype, backend: str) -> None:
    input, head, target = peaked(dtype)
    target[::3] = -100
    bias = torch.zeros(V, dtype=dtype, requires_grad=True)
    results = []
    for eps in (None, "auto", EPS):
        loss = crossent.linear_cross_entropy(
            input, head, target, linear_bias=bias, backend=backend, filter_eps=eps, options=LinearPlan(rows=32)
        )
        results.append(torch.autograd.grad(loss, (input, head, bias)))
    exact, auto, filtered = results
    assert torch.equal(filtered[0][::3], torch.zeros_like(filtered[0][::3]))
    for found, wanted in zip(auto, exact, strict=True):
        assert (found.double() - wanted.double()).norm() <= 4 * torch.finfo(dtype).eps * wanted.double().norm()
    for found, wanted in zip(filtered, exact, strict=True):
        assert (found.double() - wanted.double()).norm() <= 0.2 * wanted.double().norm()
    torch.testing.assert_close(filtered[2], exact[2])  # the bias sees everything


@pytest.mark.parametrize("backend", ENGINES)
def test_nothing_small_nothing_skipped_and_nan_is_kept(backend: str) -> None:
    input, head, target = (
        torch.randn(8, H).requires_grad_(),
        (torch.randn(V, H) * 0.01).requires_grad_(),
        torch.arange(8),
    )
    with filtering.counting() as count:
        found = run(input, head, target, backend=backend, filter_eps=1e-6)
    assert count.skipped == 0
    for mine, other in zip(found, run(input, head, target, backend=backend), strict=True):
        torch.testing.assert_close(mine, other)
    with torch.no_grad():
        head[3] = torch.nan
    assert run(input, head, target, backend=backend, filter_eps=0.5)[2].isnan().all()


@pytest.mark.parametrize("eps", [-0.1, 1.0, "most", True, float("nan")])
def test_an_eps_is_a_part_of_one(eps: Any) -> None:
    with pytest.raises(ValueError, match="XEN030"):
        crossent.linear_cross_entropy(torch.ones(2, 3), torch.ones(4, 3), torch.zeros(2).long(), filter_eps=eps)


def test_the_module_passes_it_on() -> None:
    module = crossent.LinearCrossEntropyLoss(H, V, filter_eps=EPS)
    with filtering.counting() as count:
        module(torch.randn(40, H) * 20, torch.zeros(40).long()).backward()
    assert count.blocks and "filter_eps=0.001" in repr(module)
