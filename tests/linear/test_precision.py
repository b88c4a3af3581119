"""Errors against float64 in every dtype: at most those of the materialised loss at that dtype, plus rounding."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
import torch.nn.functional as F

import crossent
from crossent import LinearPlan, internals
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
@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1}, {"softcap": 5.0, "z_loss": 1e-3}], ids=str)
@pytest.mark.parametrize("classes", [300, 700, 4000, 16000])
def test_a_16_bit_weight_gradient_is_rounded_once(
    classes: int, options: dict[str, float], upstream: float, backend: str
) -> None:
    """A fresh head, four chunks: softmax - 1 at the target is nearly all of the gradient."""
    input, head, target = problem(torch.bfloat16, 0.02, classes)
    wide = [tensor.detach().double().requires_grad_() for tensor in (input, head)]
    truth = crossent.linear_cross_entropy(*wide, target, backend="reference", **options) * upstream
    exact = torch.autograd.grad(truth, wide)
    loss = crossent.linear_cross_entropy(
        input, head, target, out_dtype=torch.float32, options=LinearPlan(rows=128), backend=backend, **options
    )
    for again in range(2):  # made in the forward pass; made again
        d_input, d_head = torch.autograd.grad(loss * upstream, (input, head), retain_graph=again == 0)
        assert d_input.dtype == d_head.dtype == torch.bfloat16
        assert off(d_head, exact[1]) <= 1.25 * off(exact[1].bfloat16(), exact[1])
        twice = 1.0 if upstream == 1.0 else 1.5  # made for an upstream gradient of 1, rounded, multiplied
        assert off(d_input, exact[0]) <= 1.25 * twice * off(exact[0].bfloat16(), exact[0])


class _Rounded(torch.autograd.Function):
    """Logits as a 16-bit product leaves them; the gradient passes."""

    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor) -> torch.Tensor:
        return logits.bfloat16().double()

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> torch.Tensor:
        return upstream


def targets_of(kind: str, logits: torch.Tensor) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    if kind == "random":
        return torch.randint(0, logits.shape[1], (logits.shape[0],), generator=generator)
    return logits.argmax(1) if kind == "best" else torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]


@pytest.mark.parametrize("backend", ENGINES)
@pytest.mark.parametrize("targets", ["random", "likely", "best"])
@pytest.mark.parametrize("scale", [0.02, 0.2, 0.5, 1.0])  # 1.0: two thirds of the probability on one of 700 classes
def test_a_16_bit_weight_gradient_of_fresh_and_confident_heads(scale: float, targets: str, backend: str) -> None:
    """At most 1.5 times the error of the true gradient rounded once, beside what 16-bit logits alone cost: nothing in a
    fresh head, nearly everything in a confident one, where every head that multiplies in bfloat16 has it. torch's
    chunked path makes float32 logits and rounds the weight's gradient once per chunk."""
    input, head, _ = problem(torch.bfloat16, scale)
    wide = [tensor.detach().double().requires_grad_() for tensor in (input, head)]
    logits = F.linear(*wide)
    target = targets_of(targets, logits.detach())
    (exact,) = torch.autograd.grad(F.cross_entropy(logits, target), wide[1:], retain_graph=True)
    low = cast(torch.Tensor, _Rounded.apply(logits))
    (rounded,) = torch.autograd.grad(F.cross_entropy(low, target), wide[1:])
    once, by_logits = off(exact.bfloat16(), exact), off(rounded, exact)

    def error(loss: torch.Tensor) -> float:
        return off(torch.autograd.grad(loss, head)[0], exact)

    plan = LinearPlan(rows=128)
    ours = error(crossent.linear_cross_entropy(input, head, target, options=plan, backend=backend))
    plain = error(F.cross_entropy(F.linear(input, head).float(), target))
    words = f"of the gradient rounded once: ours {ours / once:.2f}, 16-bit logits alone {by_logits / once:.2f}"
    print(f"{words}, plain {plain / once:.2f}")
    assert ours <= 1.5 * once + by_logits, words
    if scale <= 0.2:  # the promise itself
        assert ours <= 1.5 * once, words
    if internals.torch_linear is not None and internals.torch_linear_options is not None:
        options = internals.torch_linear_options(batch_chunk_size=128)
        chunked = error(internals.torch_linear(input, head, target, options=options))
        print(f"torch's chunked path {chunked / once:.2f}")
        if scale <= 0.2:
            assert ours < chunked, (words, chunked / once)


@pytest.mark.parametrize("backend", ENGINES)
def test_a_16_bit_bias_and_masked_rows_of_predictions(backend: str) -> None:
    """The targets' column goes into every sum: K-dimensional heads, a bias, class weights, ignored targets."""
    generator = torch.Generator().manual_seed(2)
    input = torch.randn(200, 24, generator=generator).bfloat16().requires_grad_()
    head = torch.randn(40, 3, 24, generator=generator).mul_(0.02).bfloat16().requires_grad_()
    bias = torch.zeros(40, 3, dtype=torch.bfloat16, requires_grad=True)
    weight, target = torch.rand(40, generator=generator).bfloat16(), torch.randint(0, 40, (200, 3), generator=generator)
    target[torch.rand(200, 3, generator=generator) < 0.4] = -100
    leaves = (input, head, bias)
    wide = [leaf.detach().double().requires_grad_() for leaf in leaves]

    def loss(input: torch.Tensor, head: torch.Tensor, bias: torch.Tensor, weight: torch.Tensor, **how: Any) -> Any:
        return crossent.linear_cross_entropy(input, head, target, linear_bias=bias, weight=weight, **how)

    exact = torch.autograd.grad(loss(*wide, weight.double(), backend="reference"), wide)
    ours = torch.autograd.grad(loss(*leaves, weight, backend=backend, options=LinearPlan(rows=64)), leaves)
    for found, wanted in zip(ours, exact, strict=True):
        assert off(found, wanted) <= 1.5 * off(wanted.bfloat16(), wanted)


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
