"""Every layout and option of a linear head against the loss of its logits, in float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import crossent
from crossent import LinearPlan
from linear_cases import ENGINES, PLANS, cases, check

ALL = list(cases())


@pytest.mark.parametrize("backend", ENGINES)
@pytest.mark.parametrize("kind", sorted({case.kind for case in ALL}))
def test_equals_the_loss_of_the_logits(kind: str, backend: str) -> None:
    mine = [case for case in ALL if case.kind == kind]
    assert len(mine) > 8
    for index, case in enumerate(mine):
        plans = PLANS if not case.settings else (PLANS[index % len(PLANS)],)
        for plan in plans:
            try:
                check(case, backend, plan)
            except AssertionError as error:
                raise AssertionError(f"{case} {plan}: {error}") from error


@pytest.mark.parametrize("backend", ENGINES)
@pytest.mark.parametrize("rows", [None, 3])
def test_all_rows_ignored(backend: str, rows: int | None) -> None:
    input, head = torch.full((5, 4), torch.nan, requires_grad=True), torch.randn(6, 4, requires_grad=True)
    target = torch.full((5,), -100)
    plan = LinearPlan(rows=rows)
    for reduction, zero, value in (("mean", "nan", torch.nan), ("mean", "zero", 0.0), ("sum", "nan", 0.0)):
        loss = crossent.linear_cross_entropy(
            input, head, target, reduction=reduction, if_all_ignored=zero, backend=backend, options=plan
        )
        torch.testing.assert_close(loss, torch.tensor(value), equal_nan=True)
        for gradient in torch.autograd.grad(loss, (input, head)):
            assert torch.equal(gradient, torch.zeros_like(gradient))


@pytest.mark.parametrize("backend", ENGINES)
def test_an_ignored_row_is_never_read(backend: str) -> None:
    input, head = torch.randn(5, 4), torch.randn(6, 4, requires_grad=True)
    target = torch.tensor([1, -100, 2, -100, 0])
    expected = crossent.linear_cross_entropy(input, head, target, backend=backend)
    wanted = torch.autograd.grad(expected, head)[0]
    input[1], input[3] = torch.nan, torch.inf
    input.requires_grad_()
    loss = crossent.linear_cross_entropy(input, head, target, backend=backend)
    d_input, d_head = torch.autograd.grad(loss, (input, head))
    assert torch.equal(loss, expected) and torch.equal(d_head, wanted)
    assert torch.equal(d_input[target == -100], torch.zeros(2, 4))


@pytest.mark.parametrize("backend", ENGINES)
@pytest.mark.parametrize("shape", [(0, 4, 6), (3, 4, 1), (2, 1, 3)])
def test_edges_of_the_sizes(backend: str, shape: tuple[int, int, int]) -> None:
    N, H, V = shape
    input, head = torch.randn(N, H, requires_grad=True), torch.randn(V, H, requires_grad=True)
    target = torch.zeros(N, dtype=torch.long)
    for reduction in ("mean", "sum", "none"):
        ours = crossent.linear_cross_entropy(input, head, target, reduction=reduction, backend=backend)
        theirs = torch.nn.functional.cross_entropy(input @ head.T, target, reduction=reduction)
        torch.testing.assert_close(ours, theirs, equal_nan=True)
        for mine, other in zip(
            torch.autograd.grad(ours.sum(), (input, head)),
            torch.autograd.grad(theirs.sum(), (input, head)),
            strict=True,
        ):
            torch.testing.assert_close(mine, other, equal_nan=True)


def test_which_gradients_are_made() -> None:
    """Frozen tensors get None, and the others are the same as when everything is trained."""
    target = torch.randint(0, 6, (5,))
    tensors = {"input": torch.randn(5, 4), "head": torch.randn(6, 4), "bias": torch.randn(6)}

    def run(trained: tuple[str, ...]) -> dict[str, Any]:
        own = {name: value.clone().requires_grad_(name in trained) for name, value in tensors.items()}
        loss = crossent.linear_cross_entropy(own["input"], own["head"], target, linear_bias=own["bias"])
        if trained:
            loss.backward()
        assert loss.requires_grad == bool(trained)
        return {name: value.grad for name, value in own.items()}

    full = run(("input", "head", "bias"))
    for trained in ((), ("input",), ("head",), ("bias",), ("input", "bias")):
        for name, gradient in run(trained).items():
            assert (gradient is None) == (name not in trained)
            assert gradient is None or torch.equal(gradient, full[name])


def test_bit_identical_from_run_to_run() -> None:
    input, head = torch.randn(300, 32, requires_grad=True), torch.randn(500, 32, requires_grad=True)
    target = torch.randint(0, 500, (300,))

    def run() -> tuple[torch.Tensor, ...]:
        loss = crossent.linear_cross_entropy(input, head, target, options=LinearPlan(rows=64))
        return loss, *torch.autograd.grad(loss, (input, head))

    first = run()
    assert all(torch.equal(a, b) for _ in range(3) for a, b in zip(first, run(), strict=True))
