"""Each function of each backend module against the float64 reference, in every kind of memory.

``out`` is contiguous, or has strides of its own with NaN in the gaps (which must stay), or is the
logits themselves.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import cast

import pytest
import torch
from torch import Tensor

import arguments as building
import closeness
import runner
from arguments import step2
from cases import CASES, F16, F64, Case
from crossent import dispatch, stats
from crossent.backends import protocol, reference
from crossent.backends.protocol import Backend, RowGradWant, RowProblem

GROUPS = ("size-", "shape-", "last-", "option-", "special-", "strides-", "zeros-", "all-")
LOSSES = [case for case in CASES if not case.slow and case.name.startswith(GROUPS)]
SOFTMAXES = [case for case in CASES if case.function == "log_softmax"]


def backend_of(name: str) -> Backend:
    return cast(Backend, dispatch.load(name))


def problems(case: Case) -> tuple[RowProblem, RowProblem]:
    """The rows of a case in its dtype and in float64."""
    made = building.make(case)
    ours, wide = (runner.row_problem(case, each)[0] for each in (made, made.widened()))
    return tuple(replace(each, logits=each.logits.detach(), target=each.target.detach()) for each in (ours, wide))  # type: ignore[return-value]


def numbers(case: Case, shape: tuple[int, ...], what: str) -> Tensor:
    generator = torch.Generator().manual_seed(zlib.crc32(f"{case.name} {what}".encode()))
    return torch.randn(shape, generator=generator, dtype=protocol.compute_dtype(case.dtype))


def detached(problem: RowProblem) -> RowProblem:
    scale = problem.logit_scale
    return replace(problem, logit_scale=scale.detach() if isinstance(scale, Tensor) else scale)


def contiguous(logits: Tensor) -> Tensor:
    return torch.full(logits.shape, torch.nan, dtype=logits.dtype)


def rows_apart(logits: Tensor) -> Tensor:
    return step2(torch.full(logits.shape, torch.nan, dtype=logits.dtype), 0)


def classes_apart(logits: Tensor) -> Tensor:
    return step2(torch.full(logits.shape, torch.nan, dtype=logits.dtype), 1)


def classes_last(logits: Tensor) -> Tensor:
    return contiguous(logits.movedim(1, -1)).movedim(-1, 1)


def the_logits(logits: Tensor) -> Tensor:
    return logits


OUTS: tuple[Callable[[Tensor], Tensor], ...] = (contiguous, rows_apart, classes_apart, classes_last, the_logits)


def with_memory(cases: list[Case]) -> list[object]:
    """Every case with one kind of memory; with all of them among the slow tests."""
    pairs = (
        (case, out, index % len(OUTS) == place) for index, case in enumerate(cases) for place, out in enumerate(OUTS)
    )
    return [
        pytest.param(case, out, id=f"{case}-{out.__name__}", marks=() if chosen else pytest.mark.slow)
        for case, out, chosen in pairs
    ]


def gaps_are_untouched(out: Tensor) -> bool:
    """Whether what lies between the entries of a step-2 view is still NaN."""
    base = out._base
    if base is None or base.numel() != 2 * out.numel():
        return True
    return int(base.isnan().sum()) >= out.numel()


def hold(name: str, ours: Tensor, exact: Tensor, noise: Tensor, case: Case) -> None:
    closeness.check(name, ours, exact, noise, protocol.compute_dtype(case.dtype))


@pytest.mark.parametrize("backend", runner.BACKENDS)
@pytest.mark.parametrize(
    "case", [*LOSSES[::2], *(pytest.param(case, marks=pytest.mark.slow) for case in LOSSES[1::2])], ids=str
)
def test_statistics(case: Case, backend: str) -> None:
    ours, wide = map(detached, problems(case))
    engine, terms = backend_of(backend), closeness.row_terms(wide)
    noise = closeness.value_noise(terms, wide.z_loss)
    got, exact = engine.row_stats(ours, tilt=True), reference.row_stats(wide, tilt=True)
    assert {number.dtype for number in got if number is not None} == {ours.compute_dtype}
    assert {tuple(number.shape) for number in got if number is not None} == {ours.row_shape}
    hold("row", stats.row_loss(got, ours.z_loss), stats.row_loss(exact, wide.z_loss), noise["row"], case)
    hold("logsumexp", stats.logsumexp(got), stats.logsumexp(exact), noise["logsumexp"], case)
    if not ours.normalised:
        hold("entropy", stats.entropy(got), stats.entropy(exact), noise["entropy"], case)
    assert engine.row_stats(ours).tilt is None
    weight = numbers(case, ours.row_shape, "weight")
    for row_weight in (None, weight):
        count = engine.count_rows(ours, row_weight)
        known = reference.count_rows(wide, None if row_weight is None else row_weight.double())
        assert count.rows.dtype == torch.int64
        assert count.rows.shape == count.share.shape == ()
        assert int(count.rows) == int(known.rows)
        room = closeness.growth(weight.numel()) * (terms.mass.new_tensor(4.0) * weight.numel()).clamp_min(1.0)
        hold("share", count.share, known.share, room, case)
    reading, known = engine.row_read(ours), reference.row_read(wide)
    assert torch.equal(reading.predicted, known.predicted)
    assert torch.equal(reading.rank, known.rank)


@pytest.mark.parametrize("backend", runner.BACKENDS)
@pytest.mark.parametrize(("case", "out_of"), with_memory(LOSSES[::2]))
def test_gradient_from_statistics(case: Case, backend: str, out_of: Callable[[Tensor], Tensor]) -> None:
    ours, wide = map(detached, problems(case))
    if out_of is the_logits:
        ours = replace(ours, logits=ours.logits.clone())
    engine, terms = backend_of(backend), closeness.row_terms(wide)
    upstream = numbers(case, ours.row_shape, "upstream")
    coefficients = stats.loss_coefficients(engine.row_stats(ours), ours.z_loss, upstream)
    known = stats.loss_coefficients(reference.row_stats(wide), wide.z_loss, upstream.double())
    exact = torch.empty(wide.logits.shape, dtype=F64)
    want = RowGradWant(scale=True, target=not ours.is_index)
    expected = reference.row_grad(wide, reference.row_stats(wide), known, exact, want=want)
    out = out_of(ours.logits)
    row_stats = engine.row_stats(ours)
    got = engine.row_grad(ours, row_stats, coefficients, out, want=want)
    slope = 2.0 * wide.z_loss * terms.lse
    g = upstream.double().abs()
    noise = closeness.grad_noise(terms, wide, g * (terms.mass + slope), g, None, ours.compute_dtype)
    hold("d_logits", out, exact, noise, case)
    assert gaps_are_untouched(out)
    assert got.scale is not None
    assert expected.scale is not None
    hold("d_scale", got.scale, expected.scale, closeness.scale_noise(wide, noise), case)
    assert (got.target is None) == ours.is_index
    if got.target is not None and expected.target is not None:
        weight = 1.0 if wide.class_weight is None else wide.class_weight[:, None]
        spread = (terms.far + terms.log_sum[:, None] + 1.0) * (closeness.growth(wide.classes) + terms.moved[:, None])
        assert got.target.dtype == ours.target.dtype
        hold("d_target", got.target, expected.target, g[:, None] * wide.on * weight * spread, case)


@pytest.mark.parametrize("backend", runner.BACKENDS)
@pytest.mark.parametrize(("case", "out_of"), with_memory(LOSSES[1::2]))
def test_loss_and_gradient_in_one_pass(case: Case, backend: str, out_of: Callable[[Tensor], Tensor]) -> None:
    ours, wide = map(detached, problems(case))
    if out_of is the_logits:
        ours = replace(ours, logits=ours.logits.clone())
    engine, terms = backend_of(backend), closeness.row_terms(wide)
    factor = torch.tensor(0.375, dtype=ours.compute_dtype)
    row_factor = numbers(case, ours.row_shape, "row factor") if zlib.crc32(case.name.encode()) % 2 else None
    g = factor.double().expand(ours.row_shape) if row_factor is None else factor.double() * row_factor.double()
    exact = torch.empty(wide.logits.shape, dtype=F64)
    wide_factor = None if row_factor is None else row_factor.double()
    rows = reference.row_loss_and_grad(wide, factor.double(), wide_factor, exact)
    out = out_of(ours.logits)
    got = engine.row_loss_and_grad(ours, factor, row_factor, out)
    assert got.dtype == ours.compute_dtype
    hold("row", got, rows, closeness.value_noise(terms, wide.z_loss)["row"], case)
    slope = 2.0 * wide.z_loss * terms.lse
    noise = closeness.grad_noise(terms, wide, g.abs() * (terms.mass + slope), g.abs(), None, ours.compute_dtype)
    hold("d_logits", out, exact, noise, case)
    assert gaps_are_untouched(out)


@pytest.mark.parametrize("backend", runner.BACKENDS)
@pytest.mark.parametrize(("case", "out_of"), with_memory(LOSSES[1::2]))
def test_sum_of_losses_and_gradient_in_one_pass(case: Case, backend: str, out_of: Callable[[Tensor], Tensor]) -> None:
    """The optional ``total_and_grad``: the gradient to the bit, and one number in place of one per row."""
    engine = backend_of(backend)
    if not hasattr(engine, "total_and_grad"):
        pytest.skip(f"{backend} adds up row losses outside")
    ours, wide = map(detached, problems(case))
    factor, row_factor = torch.tensor(0.375, dtype=ours.compute_dtype), numbers(case, ours.row_shape, "row factor")
    gradient = torch.empty_like(ours.logits)
    engine.row_loss_and_grad(ours, factor, row_factor, gradient)
    if out_of is the_logits:
        ours = replace(ours, logits=ours.logits.clone())
    out = out_of(ours.logits)
    total = engine.total_and_grad(ours, factor, row_factor, out)  # type: ignore[attr-defined]
    assert (total.dtype, total.shape) == (ours.compute_dtype, ())
    assert torch.equal(out.nan_to_num(7.0), gradient.nan_to_num(7.0)) and gaps_are_untouched(out)
    weighted = reference.row_loss_and_grad(wide, factor.double(), None, torch.empty_like(wide.logits)) * row_factor
    noise = closeness.value_noise(closeness.row_terms(wide), wide.z_loss)["row"] * row_factor.abs()
    noise = noise + closeness.growth(weighted.numel()) * weighted.abs()
    hold("total", total, weighted.sum(), noise[noise.isfinite()].sum(), case)


@pytest.mark.parametrize("backend", runner.BACKENDS)
@pytest.mark.parametrize(("case", "out_of"), with_memory(SOFTMAXES[::3]))
def test_log_softmax(case: Case, backend: str, out_of: Callable[[Tensor], Tensor]) -> None:
    ours, wide = map(detached, problems(case))
    engine, terms = backend_of(backend), closeness.row_terms(wide)
    exact, exact_grad = (torch.empty(wide.logits.shape, dtype=F64) for _ in range(2))
    reference.log_softmax(wide, exact)
    out = out_of(ours.logits if out_of is not the_logits else ours.logits.clone())
    engine.log_softmax(ours if out_of is not the_logits else replace(ours, logits=out), out)
    steps = closeness.growth(wide.classes)
    noise = steps * (terms.far + terms.log_sum[:, None] + 1.0) + 2.0 * terms.moved[:, None]
    hold("log_softmax", out, exact, noise.nan_to_num(0.0), case)
    assert gaps_are_untouched(out)
    upstream = numbers(case, tuple(ours.logits.shape), "upstream").to(case.dtype)
    log_probs = exact.to(case.dtype)
    reference.log_softmax_grad(wide, log_probs.double(), upstream.double(), exact_grad)
    out = out_of(ours.logits if out_of is not the_logits else ours.logits.clone())
    engine.log_softmax_grad(ours, log_probs, upstream, out)
    g = upstream.double().abs()
    noise = (steps + terms.far + terms.log_sum[:, None]) * (g + terms.probs * (1.0 + 0.05) * g.sum(1, keepdim=True))
    scale = wide.logit_scale
    noise = noise * (scale.abs()[:, None] if isinstance(scale, Tensor) else abs(scale)) * (1 + terms.moved[:, None])
    hold("gradient", out, exact_grad, noise.nan_to_num(0.0), case)
    assert gaps_are_untouched(out)


@pytest.mark.parametrize("backend", runner.BACKENDS)
@pytest.mark.parametrize(("shape", "column"), [((5, 7), 7), ((5, 7), -1), ((2, 70, 3), 70), ((3, 600), 10**6)])
def test_a_target_out_of_range_is_refused_before_anything_is_read(
    backend: str, shape: tuple[int, ...], column: int
) -> None:
    case = Case(name="out of range", shape=shape, why="")
    ours = detached(problems(case)[0])
    target = ours.target.clone()
    target[-1, -1] = column
    wrong = replace(ours, target=target)
    before = ours.logits.clone()
    engine, factor = backend_of(backend), torch.ones(())
    calls: tuple[Callable[[], object], ...] = (
        lambda: engine.row_stats(wrong),
        lambda: engine.row_read(wrong),
        lambda: engine.row_loss_and_grad(wrong, factor, None, contiguous(ours.logits)),
        lambda: engine.row_loss_and_grad(wrong, factor, None, ours.logits),
    )
    for call in calls:
        with pytest.raises(protocol.TargetOutOfRange) as refused:
            call()
        assert refused.value.row == target.numel() - 1
        assert refused.value.target == column
    assert torch.equal(ours.logits, before), "in place: the check comes first"


@pytest.mark.parametrize("backend", runner.BACKENDS)
def test_reports_what_it_supports_and_gives_memory(backend: str) -> None:
    engine = backend_of(backend)
    assert engine.name == backend
    for dtype in (torch.float32, torch.bfloat16, F16, F64):
        assert engine.supports(torch.device("cpu"), dtype) is None
        memory = engine.empty((3, 5), dtype, torch.device("cpu"))
        assert (tuple(memory.shape), memory.dtype, memory.is_contiguous()) == ((3, 5), dtype, True)
    assert isinstance(engine.supports(torch.device("meta"), torch.float32), str)
