"""The algebra of stats.py: merging, coefficients against autograd, and what an empty side says."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

import runner
from crossent import dispatch, stats
from crossent.backends.protocol import RowProblem
from crossent.stats import RowStats

F64 = torch.float64


def stats_of(z: Tensor, q: Tensor) -> RowStats:
    """Statistics by their definition; classes of no probability say nothing in tilt, empty sides hold -inf."""
    if not z.shape[1]:
        nothing = z.new_zeros(len(z))
        return RowStats(nothing - math.inf, nothing, nothing, nothing, nothing)
    top = z.amax(1)
    empty = top == -math.inf
    shifted = torch.where(empty[:, None], 0.0, z - top[:, None])
    shifted = torch.where(z == -math.inf, -math.inf, shifted)
    log_sum = torch.where(empty, 0.0, shifted.exp().sum(1).log())
    probs = (shifted - log_sum[:, None]).exp()
    dot = torch.where(q == 0, 0.0, q * shifted).sum(1)
    tilt = torch.where(probs == 0, 0.0, probs * shifted).sum(1)
    return RowStats(top, log_sum, dot, q.sum(1), tilt)


def rows(classes: int = 11) -> tuple[Tensor, Tensor]:
    return torch.randn(7, classes, dtype=F64) * 3, torch.rand(7, classes, dtype=F64)


def assert_same(ours: RowStats, exact: RowStats) -> None:
    for name, one, other in zip(RowStats._fields, ours, exact, strict=True):
        torch.testing.assert_close(
            one, other, rtol=1e-13, atol=1e-13, equal_nan=True, msg=lambda m, n=name: f"{n}: {m}"
        )


def test_row_loss_is_its_definition() -> None:
    z, q = rows()
    known = -(q * z.log_softmax(1)).sum(1) + 0.25 * z.logsumexp(1).square()
    torch.testing.assert_close(stats.row_loss(stats_of(z, q), 0.25), known)
    torch.testing.assert_close(stats.row_loss(stats_of(z, q), 0.0), stats.cross_entropy(stats_of(z, q)))
    probs = z.softmax(1)
    torch.testing.assert_close(stats.entropy(stats_of(z, q)), -(probs * probs.log()).sum(1))


@pytest.mark.parametrize("cut", [0, 1, 5, 10, 11])
def test_merged_shards_are_the_whole(cut: int) -> None:
    z, q = rows()
    assert_same(stats.merge(stats_of(z[:, :cut], q[:, :cut]), stats_of(z[:, cut:], q[:, cut:])), stats_of(z, q))


def test_merge_is_associative_and_commutative() -> None:
    a, b, c = (stats_of(*rows(classes)) for classes in (3, 1, 40))
    assert_same(stats.merge(stats.merge(a, b), c), stats.merge(a, stats.merge(b, c)))
    assert_same(stats.merge(a, b), stats.merge(b, a))


def test_an_empty_side_is_neutral() -> None:
    z, q = rows()
    nothing = stats_of(z[:, :0], q[:, :0])
    whole = stats_of(z, q)
    assert_same(stats.merge(whole, nothing), whole)
    assert_same(stats.merge(nothing, whole), whole)
    both = stats.merge(nothing, nothing)
    assert (both.max == -math.inf).all()
    assert_same(stats.merge(both, whole), whole)


def test_a_side_of_minus_infinity_weighs_nothing() -> None:
    """Masked vocabulary in one shard only: no class of it has a say, and no target is there."""
    z, q = rows()
    z[:, 4:9], q[:, 4:9] = -math.inf, 0.0
    shards = [stats_of(z[:, start:stop], q[:, start:stop]) for start, stop in ((0, 4), (4, 9), (9, 11))]
    whole = stats_of(z, q)
    assert whole.log_sum.isfinite().all()
    assert_same(stats.merge(stats.merge(shards[0], shards[1]), shards[2]), whole)
    assert_same(stats.merge(shards[1], stats.merge(shards[0], shards[2])), whole)


def test_a_target_at_minus_infinity_stays_infinite() -> None:
    z, q = rows()
    q.zero_()
    q[:, 5], z[:, 4:9] = 1.0, -math.inf
    merged = stats.merge(stats_of(z[:, 4:9], q[:, 4:9]), stats_of(torch.cat([z[:, :4], z[:, 9:]], 1), q[:, :6] * 0))
    assert (stats.cross_entropy(merged) == math.inf).all()


def test_nan_and_plus_infinity_are_not_lost() -> None:
    z, q = rows()
    for value in (math.nan, math.inf):
        spoilt = RowStats(*(torch.full((7,), value, dtype=F64) for _ in range(5)))
        for merged in (stats.merge(spoilt, stats_of(z, q)), stats.merge(stats_of(z, q), spoilt)):
            assert stats.cross_entropy(merged).isnan().all()


def test_large_offsets_cost_no_digits() -> None:
    z, q = rows()
    near, far = stats_of(z, q), stats_of(z + 1e8, q)
    torch.testing.assert_close(stats.cross_entropy(far), stats.cross_entropy(near), rtol=1e-7, atol=0)
    single = stats_of((z + 1e4).float(), q.float())
    exact = stats_of((z + 1e4).float().double(), q.float().double())
    torch.testing.assert_close(stats.cross_entropy(single).double(), stats.cross_entropy(exact), rtol=1e-6, atol=0)


def gradient(z: Tensor, q: Tensor, coefficients: stats.GradCoefficients) -> Tensor:
    numbers = stats_of(z, q)
    factor = coefficients.soft[:, None]
    if coefficients.bend is not None:
        factor = factor + coefficients.bend[:, None] * (z - numbers.max[:, None])
    return z.softmax(1) * factor - coefficients.hard[:, None] * q


@pytest.mark.parametrize("z_loss", [0.0, 0.3])
def test_loss_coefficients_are_autograds(z_loss: float) -> None:
    z, q = rows()
    upstream = torch.randn(7, dtype=F64)
    leaf = z.clone().requires_grad_()
    row = -(q * leaf.log_softmax(1)).sum(1) + z_loss * leaf.logsumexp(1).square()
    (expected,) = torch.autograd.grad(row, leaf, upstream)
    torch.testing.assert_close(gradient(z, q, stats.loss_coefficients(stats_of(z, q), z_loss, upstream)), expected)


@pytest.mark.parametrize("with_entropy", [False, True])
def test_readout_coefficients_are_autograds(with_entropy: bool) -> None:
    z, q = rows()
    g_lse, g_entropy = torch.randn(2, 7, dtype=F64)
    leaf = z.clone().requires_grad_()
    log_probs = leaf.log_softmax(1)
    total = (g_lse * leaf.logsumexp(1)).sum()
    if with_entropy:
        total = total - (g_entropy * (log_probs.exp() * log_probs).sum(1)).sum()
    (expected,) = torch.autograd.grad(total, leaf)
    coefficients = stats.readout_coefficients(stats_of(z, q), g_lse, g_entropy if with_entropy else None)
    torch.testing.assert_close(gradient(z, q, coefficients), expected)


def test_entropy_needs_the_tilt() -> None:
    z, q = rows()
    with pytest.raises(AssertionError, match="without tilt"):
        stats.entropy(stats_of(z, q)._replace(tilt=None))


@pytest.mark.parametrize("backend", runner.BACKENDS)
@pytest.mark.parametrize("gone", [slice(0, 40), slice(60, 100), slice(0, 60)])
def test_a_shard_of_minus_infinity_from_a_backend_says_nothing(gone: slice, backend: str) -> None:
    """A backend's log_sum of such a shard is NaN, and a row that is whole there has no other number than NaN."""
    logits, target = torch.randn(5, 100, 1), torch.randint(40, 60, (5, 1))
    target[:] = 70 if gone.stop == 60 else target
    logits[:, gone] = -torch.inf
    engine = dispatch.load(backend)
    assert not isinstance(engine, str)

    def numbers(start: int, stop: int) -> RowStats:
        inside = (target >= start) & (target < stop)
        y = torch.where(inside, target - start, 0)
        part = logits[:, start:stop].contiguous()
        known = engine.row_stats(RowProblem(logits=part, target=y, skip=-100, class_weight=None, on=1.0, off=0.0))
        return known._replace(dot=torch.where(inside, known.dot, 0.0), mass=torch.where(inside, known.mass, 0.0))

    merged = stats.merge(stats.merge(numbers(0, 40), numbers(40, 60)), numbers(60, 100))
    torch.testing.assert_close(stats.row_loss(merged, 0.0), stats.row_loss(numbers(0, 100), 0.0))
    assert stats.row_loss(merged, 0.0).isfinite().all()
