"""Laws every loss obeys, whatever computes it: held bit for bit where the arithmetic is the same.

Both sides of a law run on the same backend, so these need no oracle.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import crossent
import runner
from crossent import stats
from crossent.backends import reference
from crossent.backends.protocol import RowProblem
from crossent.stats import RowStats

SHAPES = ((9, 5), (17, 70), (5, 1100))
RICH = {"label_smoothing": 0.1, "z_loss": 1e-2, "logit_scale": 0.75}

Answer = tuple[Tensor, Tensor]


@pytest.fixture(params=runner.BACKENDS)
def loss(request: pytest.FixtureRequest) -> Callable[..., Answer]:
    """(loss, gradient) of cross_entropy on one backend; other options as keywords."""

    def call(logits: Tensor, target: Tensor, function: str = "cross_entropy", **options: Any) -> Answer:
        leaf = logits.detach().requires_grad_()
        with runner.served() as seen:
            value = getattr(crossent, function)(leaf, target, backend=request.param, **options)
        assert [each.by for each in seen] == [request.param]
        (gradient,) = torch.autograd.grad(value, leaf, torch.ones_like(value))
        return value.detach(), gradient

    return call


def made(shape: tuple[int, int], dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    return torch.randn(shape).to(dtype) * 2, torch.randint(0, shape[1], shape[:1])


def same(one: Answer, other: Answer, **tolerance: float) -> None:
    for mine, theirs in zip(one, other, strict=True):
        torch.testing.assert_close(mine, theirs, **(tolerance or {"rtol": 1e-12, "atol": 1e-13}))


def identical(one: Answer, other: Answer) -> None:
    for mine, theirs in zip(one, other, strict=True):
        assert torch.equal(mine, theirs)


each_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)
each_reduction = pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
each_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64], ids=str)


@each_shape
@each_reduction
def test_a_constant_per_row_changes_nothing(loss: Any, shape: tuple[int, int], reduction: str) -> None:
    logits, target = made(shape)
    moved = logits + torch.randn(shape[0], 1, dtype=logits.dtype) * 10
    options = {"label_smoothing": 0.1, "weight": torch.rand(shape[1], dtype=logits.dtype), "reduction": reduction}
    same(loss(logits, target, **options), loss(moved, target, **options))


@each_shape
def test_classes_have_no_order(loss: Any, shape: tuple[int, int]) -> None:
    logits, target = made(shape)
    weight, order = torch.rand(shape[1], dtype=logits.dtype), torch.randperm(shape[1])
    value, gradient = loss(logits, target, weight=weight, **RICH)
    back = torch.argsort(order)
    permuted, permuted_gradient = loss(logits[:, order], back[target], weight=weight[order], **RICH)
    same((value, gradient[:, order]), (permuted, permuted_gradient))


@each_shape
@each_dtype
def test_rows_do_not_see_each_other(loss: Any, shape: tuple[int, int], dtype: torch.dtype) -> None:
    """Bit for bit: whatever else is in the batch, NaN included, and wherever the row stands."""
    logits, target = made(shape, dtype)
    value, gradient = loss(logits, target, reduction="none", **RICH)
    changed, others = logits.clone(), torch.arange(shape[0]) != 3
    changed[others] = torch.randn(shape, dtype=torch.float32)[others].to(dtype) * 7
    changed[1], changed[-1] = torch.nan, torch.inf
    new_value, new_gradient = loss(changed, target, reduction="none", **RICH)
    identical((value[3], gradient[3]), (new_value[3], new_gradient[3]))
    order = torch.randperm(shape[0])
    identical((value[order], gradient[order]), loss(logits[order], target[order], reduction="none", **RICH))
    identical((value[2:5], gradient[2:5]), loss(logits[2:5], target[2:5], reduction="none", **RICH))


@each_shape
@each_reduction
@each_dtype
def test_the_same_call_twice_is_the_same_bits(
    loss: Any, shape: tuple[int, int], reduction: str, dtype: torch.dtype
) -> None:
    logits, target = made((257, shape[1]), dtype)
    options = {"reduction": reduction, "weight": torch.rand(shape[1]).to(dtype), **RICH}
    first = loss(logits, target, **options)
    for _ in range(3):
        identical(first, loss(logits.clone(), target, **options))


@each_shape
@each_reduction
def test_smoothing_is_linear(loss: Any, shape: tuple[int, int], reduction: str) -> None:
    logits, target = made(shape)
    weight = torch.rand(shape[1], dtype=logits.dtype)
    ends = [loss(logits, target, label_smoothing=e, weight=weight, reduction=reduction) for e in (0.0, 1.0)]
    between = loss(logits, target, label_smoothing=0.3, weight=weight, reduction=reduction)
    same(tuple(0.7 * off + 0.3 * on for off, on in zip(*ends, strict=True)), between)


@each_shape
@each_reduction
def test_chunks_add_up(loss: Any, shape: tuple[int, int], reduction: str) -> None:
    """Chunks of a batch with the batch's denominator are the batch."""
    logits, target = made(shape)
    target[1] = -100
    known = {"reduction": reduction} | ({"denominator": float(shape[0] - 1)} if reduction == "mean" else {})
    parts = [
        loss(logits[start : start + 4], target[start : start + 4], **known, **RICH) for start in range(0, shape[0], 4)
    ]
    values, gradients = zip(*parts, strict=True)
    total = torch.cat(values) if reduction == "none" else torch.stack(values).sum()
    same(loss(logits, target, reduction=reduction, **RICH), (total, torch.cat(gradients)))


@each_shape
@each_reduction
def test_one_hot_probabilities_are_indices(loss: Any, shape: tuple[int, int], reduction: str) -> None:
    logits, target = made(shape)
    one_hot = torch.nn.functional.one_hot(target, shape[1]).to(logits.dtype)
    same(loss(logits, target, reduction=reduction, **RICH), loss(logits, one_hot, reduction=reduction, **RICH))


@each_shape
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_sample_weight_of_k_is_k_copies(loss: Any, shape: tuple[int, int], reduction: str) -> None:
    logits, target = made(shape)
    copies = torch.randint(0, 4, shape[:1])
    copies[0] = 2
    weight = torch.rand(shape[1], dtype=logits.dtype)
    options = {"reduction": reduction, "weight": weight, **RICH}
    value, gradient = loss(logits, target, sample_weight=copies.to(logits.dtype), **options)
    repeated, repeated_gradient = loss(logits.repeat_interleave(copies, 0), target.repeat_interleave(copies), **options)
    added = torch.zeros_like(logits).index_add_(0, torch.arange(shape[0]).repeat_interleave(copies), repeated_gradient)
    same((value, gradient), (repeated, added))


@each_shape
@pytest.mark.parametrize("function", ["cross_entropy", "nll_loss"])
def test_ignored_rows_might_as_well_not_be_there(loss: Any, shape: tuple[int, int], function: str) -> None:
    logits, target = made(shape)
    kept = torch.arange(shape[0]) % 3 != 1
    logits[~kept] = torch.nan
    target[~kept] = -100
    options: dict[str, Any] = {"weight": torch.rand(shape[1], dtype=logits.dtype), "function": function}
    if function == "cross_entropy":
        options |= RICH
    for reduction in ("mean", "sum"):
        value, gradient = loss(logits, target, reduction=reduction, **options)
        sliced, sliced_gradient = loss(logits[kept], target[kept], reduction=reduction, **options)
        same((value, gradient[kept]), (sliced, sliced_gradient))
        assert (gradient[~kept] == 0).all()


@each_shape
def test_gradient_rows_sum_to_zero(loss: Any, shape: tuple[int, int]) -> None:
    logits, target = made(shape)
    weight = torch.rand(shape[1], dtype=logits.dtype)
    for known in ({}, {"label_smoothing": 0.2, "weight": weight}):
        _, gradient = loss(logits, target, reduction="none", **known)
        assert gradient.sum(1).abs().max() < 1e-13
    _, gradient = loss(logits, target, reduction="none", z_loss=1.0)
    expected = 2 * logits.logsumexp(1)
    torch.testing.assert_close(gradient.sum(1), expected)


@each_shape
@each_reduction
def test_cross_entropy_is_nll_of_log_softmax(loss: Any, shape: tuple[int, int], reduction: str) -> None:
    logits, target = made(shape)
    weight = torch.rand(shape[1], dtype=logits.dtype)
    value, _ = loss(logits, target, weight=weight, reduction=reduction)
    composed, _ = loss(logits.log_softmax(1), target, "nll_loss", weight=weight, reduction=reduction)
    torch.testing.assert_close(value, composed)


@pytest.mark.parametrize("class_dim", [0, 1, 2, 3, -1])
def test_class_dim_is_movedim(loss: Any, class_dim: int) -> None:
    logits, target = torch.randn(3, 4, 5, 6, dtype=torch.float64), torch.randint(0, 6, (3, 4, 5))
    moved = logits.movedim(-1, class_dim)
    value, gradient = loss(logits.movedim(-1, 1).contiguous(), target, reduction="none")
    ours, our_gradient = loss(moved.contiguous(), target, reduction="none", class_dim=class_dim)
    identical((value, gradient.movedim(1, class_dim)), (ours, our_gradient)) if class_dim in (1,) else same(
        (value, gradient.movedim(1, class_dim)), (ours, our_gradient)
    )


@pytest.mark.parametrize("shift", [0, 1, 3])
@each_reduction
def test_shift_is_slicing(loss: Any, shift: int, reduction: str) -> None:
    logits, target = torch.randn(3, 7, 70, dtype=torch.float64), torch.randint(0, 70, (3, 7))
    value, gradient = loss(logits, target, class_dim=-1, shift=shift, reduction=reduction)
    sliced, sliced_gradient = loss(logits[:, : 7 - shift], target[:, shift:], class_dim=-1, reduction=reduction)
    same((value[:, shift:] if reduction == "none" else value, gradient[:, : 7 - shift]), (sliced, sliced_gradient))
    assert (gradient[:, 7 - shift :] == 0).all()


@each_shape
def test_scale_and_softcap_compose(loss: Any, shape: tuple[int, int]) -> None:
    logits, target = made(shape)
    mapped = 3 * torch.tanh(0.75 * logits / 3)
    value, gradient = loss(logits, target, logit_scale=0.75, softcap=3.0)
    plain, plain_gradient = loss(mapped, target)
    same((value, gradient), (plain, plain_gradient * 0.75 * (1 - (mapped / 3).square())))
    rows = torch.full(shape[:1], 0.75, dtype=logits.dtype)
    for scale in (torch.tensor(0.75, dtype=logits.dtype), rows):
        same((value, gradient), loss(logits, target, logit_scale=scale, softcap=3.0))
    same(loss(0.75 * logits, target), (loss(logits, target, logit_scale=0.75)[0], loss(0.75 * logits, target)[1]))
    same(loss(logits, target, softcap=1e9), loss(logits, target), rtol=1e-6, atol=1e-9)


@each_shape
def test_a_mean_is_the_sum_over_its_denominator(loss: Any, shape: tuple[int, int]) -> None:
    logits, target = made(shape)
    weight = torch.rand(shape[1], dtype=logits.dtype)
    total, gradient = loss(logits, target, weight=weight, reduction="sum")
    below = weight[target].sum()
    same((total / below, gradient / below), loss(logits, target, weight=weight))
    same(loss(logits, target, weight=weight), loss(logits, target, weight=weight, denominator=float(below)))


# ---- shards of the classes: what vocabulary tiles, chunks and ranks rest on


def shard_stats(problem: RowProblem, start: int, stop: int) -> RowStats:
    """Statistics of some classes: the reference on them, scored against q as probabilities."""
    z = reference._z(problem)[:, start:stop]
    q = reference._q(problem, reference._z(problem))[:, start:stop]
    known = {"skip": None, "class_weight": None, "on": 1.0, "off": 0.0}
    part = reference.row_stats(RowProblem(logits=z, target=q, **known), tilt=True)
    gone = (z == -torch.inf).all(1) if stop > start else torch.ones(problem.row_shape, dtype=torch.bool)
    empty = RowStats(part.max - torch.inf, *(torch.zeros_like(part.max) for _ in range(4)))
    return RowStats(*(torch.where(gone, nothing, number) for nothing, number in zip(empty, part, strict=True)))


@pytest.mark.parametrize(
    "cuts", [(0, 70), (0, 1, 70), (0, 35, 70), (0, 10, 10, 40, 70), (0, 5, 20, 21, 70), (0, 0, 70)]
)
@pytest.mark.parametrize("masked", [None, (20, 40), (0, 10)], ids=str)
def test_shards_of_the_classes_are_the_whole(cuts: tuple[int, ...], masked: tuple[int, int] | None) -> None:
    logits, target = torch.randn(9, 70, 1, dtype=torch.float64) * 4, torch.randint(40, 70, (9, 1))
    off = 0.0 if masked else 0.1 / 70
    if masked:
        logits[:, masked[0] : masked[1]] = -torch.inf
    weight = torch.rand(70, dtype=torch.float64)
    problem = RowProblem(logits=logits, target=target, skip=-100, class_weight=weight, on=0.9, off=off)
    whole = reference.row_stats(problem, tilt=True)
    parts = [shard_stats(problem, start, stop) for start, stop in itertools.pairwise(cuts)]
    if masked:  # 0 * -inf of a class without a say
        parts = [part._replace(dot=part.dot.nan_to_num(0.0)) for part in parts]
        whole_dot = (reference._q(problem, logits) * (logits - whole.max[:, None])).nan_to_num(0.0).sum(1)
        torch.testing.assert_close(whole.dot, whole_dot)
        parts = [_with_dot(problem, part, *cut) for part, cut in zip(parts, itertools.pairwise(cuts), strict=True)]
    for order in (parts, parts[::-1]):
        merged = functools.reduce(stats.merge, order)
        for one, other in zip(merged, whole, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def _with_dot(problem: RowProblem, part: RowStats, start: int, stop: int) -> RowStats:
    z = problem.logits[:, start:stop]
    terms = reference._q(problem, problem.logits)[:, start:stop] * (z - part.max[:, None])
    return part._replace(dot=terms.nan_to_num(0.0).sum(1))
