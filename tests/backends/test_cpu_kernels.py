"""The CPU kernels against the formulas of ``stats.py`` written out in NumPy float64 (``row_oracle.py``)."""

from __future__ import annotations

import dataclasses
import itertools
import math
import platform

import numpy as np
import pytest
import torch

pytest.importorskip("numba")

from crossent.backends import cpu
from crossent.backends.protocol import RowProblem, TargetOutOfRange
from crossent.stats import GradCoefficients, row_loss
from row_oracle import BF16, F16, F32, F64, OPTIONS, SHAPES, Oracle, check, close, layouts, make, numbers

DTYPES = (F32, F64, BF16, F16)


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_formulas(dtype: torch.dtype, option: str) -> None:
    for shape in SHAPES:
        for name, logits in layouts(*shape).items():
            if shape[2] > 1 or name in ("inner last", "rows apart", "step 2"):
                check(make((3 * logits).to(dtype), option))


@pytest.mark.parametrize("option", OPTIONS)
def test_huge_offsets(option: str) -> None:
    """Logits near 1e4: max and log_sum stay apart, so nothing is lost but the logits' own rounding."""
    for shape in ((3, 1100, 1), (33, 9, 1), (2, 40, 50)):
        check(make(torch.randn(shape) + 1e4, option))


def test_many_classes() -> None:
    """Errors do not grow with V: block sums are added in float64."""
    logits = torch.randn(2, 262144, 1)
    problem = make(logits, "smoothing")
    stats, exact = cpu.row_stats(problem), Oracle(problem).stats()
    assert np.abs(numbers(stats.log_sum) - exact["log_sum"]).max() < 2e-6
    ours = cpu.empty((2, 262144, 1), F32, torch.device("cpu"))
    loss = cpu.row_loss_and_grad(problem, torch.tensor(1.0), None, ours)
    double = Oracle(problem).loss()
    torchs = torch.nn.functional.cross_entropy(logits, problem.target, label_smoothing=0.2, reduction="none")
    assert np.abs(numbers(loss) - double).max() <= np.abs(numbers(torchs) - double).max() + 2e-6


INF, NAN = math.inf, math.nan
ROWS = {  # logits, target, loss, gradient is NaN everywhere
    "-inf beside": ([1.0, -INF, 2.0, 0.0], 2, None, False),
    "-inf on the target": ([1.0, -INF, 2.0, 0.0], 1, INF, False),
    "all -inf": ([-INF] * 4, 1, NAN, True),
    "+inf": ([1.0, INF, 2.0, 0.0], 0, NAN, True),
    "NaN": ([1.0, NAN, 2.0, 0.0], 0, NAN, True),
    "not read": ([NAN, INF, -INF, 0.0], -100, 0.0, False),
    "-inf first": ([-INF, -INF, -INF, 0.0], 3, None, False),
}


@pytest.mark.parametrize("way", ["last", "inner", "blocks"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", ROWS)
def test_special_values(name: str, dtype: torch.dtype, way: str) -> None:
    values, target, loss, is_nan = ROWS[name]
    row = torch.tensor(values)
    if way == "blocks":  # the special numbers fill whole blocks of a long row
        row = row.repeat_interleave(700)
        target = target * 700 if target >= 0 else target
    rows = torch.stack([torch.linspace(-1, 1, len(row)), row, torch.linspace(1, -1, len(row))]).to(dtype)
    logits = rows[:, :, None] if way != "inner" else rows.repeat(10, 1).T[None].contiguous()
    targets = torch.tensor([0, target, 1])
    targets = targets[:, None] if way != "inner" else targets.repeat(10)[None]
    problem = RowProblem(logits=logits, target=targets, skip=-100, class_weight=None, on=1.0, off=0.0)
    check(problem)
    out = torch.empty_like(logits)
    losses = cpu.row_loss_and_grad(problem, torch.tensor(1.0), None, out).flatten()
    gradient = (out[:, :, 0] if way != "inner" else out[0].T)[1]
    if loss is not None:
        assert losses[1].item() == loss or (math.isnan(loss) and losses[1].isnan())
    assert bool(gradient.isnan().all()) is is_nan and bool(gradient.isnan().any()) is is_nan
    if not is_nan:
        assert not gradient.isinf().any() and (gradient[row == -INF][1:] == 0).all()
    if name == "not read":
        assert (gradient == 0).all()
    assert losses[0].isfinite() and losses[2].isfinite()


@pytest.mark.parametrize("low", [-90.0, -800.0, -3e38])
def test_minus_inf_first_then_low(low: float) -> None:
    """Whole blocks at -inf have no maximum to be told against: their gradient is 0, however low the others are."""
    logits = torch.full((3, 3000, 1), low)
    logits[:, :1600] = -INF
    out = torch.empty_like(logits)
    problem = dataclasses.replace(make(logits, "plain"), target=torch.full((3, 1), 2000))
    loss = cpu.row_loss_and_grad(problem, torch.tensor(1.0), None, out)
    torch.testing.assert_close(loss, torch.full((3, 1), math.log(1400)))
    assert not out[:, :1600].any() and out.isfinite().all()


def test_smoothing_and_minus_inf() -> None:
    """off > 0 and a -inf logit: +inf, NaN where its weight is 0; the gradient stays finite."""
    for weight, expected in ((1.0, INF), (0.0, NAN)):
        logits = torch.tensor([[0.0, -INF, 1.0]])[:, :, None]
        w = torch.tensor([1.0, weight, 1.0])
        given = {"target": torch.tensor([[2]]), "skip": -100, "class_weight": w, "on": 0.9, "off": 0.1 / 3}
        problem = RowProblem(logits=logits, **given)  # type: ignore[arg-type]
        out = torch.empty_like(logits)
        loss = cpu.row_loss_and_grad(problem, torch.tensor(1.0), None, out).item()
        assert loss == expected or (math.isnan(loss) and math.isnan(expected))
        assert out.isfinite().all()


@pytest.mark.parametrize("shape", [(5, 100, 1), (40, 7, 1), (2, 30, 40)])
@pytest.mark.parametrize("bad", [-1, -101, 10**9, 2**40])
def test_targets_out_of_range(shape: tuple[int, int, int], bad: int) -> None:
    logits = torch.randn(shape)
    target = torch.zeros(shape[0], shape[2], dtype=torch.int64)
    target.view(-1)[-2:] = bad
    problem = RowProblem(logits=logits, target=target, skip=-100, class_weight=torch.ones(shape[1]), on=1.0, off=0.0)
    before, first = logits.clone(), target.numel() - 2
    calls = (
        lambda: cpu.row_stats(problem),
        lambda: cpu.count_rows(problem, None),
        lambda: cpu.row_read(problem),
        lambda: cpu.row_loss_and_grad(problem, torch.tensor(1.0), None, torch.empty_like(logits)),
        lambda: cpu.row_loss_and_grad(problem, torch.tensor(1.0), None, logits),
    )
    for call in calls:
        with pytest.raises(TargetOutOfRange) as caught:
            call()
        assert (caught.value.row, caught.value.target) == (first, bad)
        assert torch.equal(logits, before), "written to before the targets were checked"


def test_counts() -> None:
    target = torch.randint(0, 9, (7, 11))
    target[::2, 3] = 4
    logits, weight, rows = torch.randn(7, 9, 11), torch.rand(9), torch.rand(7, 11)
    problem = RowProblem(logits=logits, target=target.T.contiguous().T, skip=4, class_weight=weight, on=1.0, off=0.0)
    count = cpu.count_rows(problem, rows)
    read = target != 4
    assert count.rows.item() == read.sum().item() and count.rows.dtype == torch.int64
    torch.testing.assert_close(count.share, (rows * weight[target])[read].sum())
    plain = dataclasses.replace(problem, class_weight=None)
    assert cpu.count_rows(plain, None).share.item() == read.sum().item()
    soft = dataclasses.replace(plain, target=torch.rand(7, 9, 11), skip=None)
    assert cpu.count_rows(soft, None) == (77, 77.0)


@pytest.mark.parametrize("shape", SHAPES)
def test_reading(shape: tuple[int, int, int]) -> None:
    for logits in layouts(*shape).values():
        logits = (2 * logits).round()  # ties
        logits[0, shape[1] // 2] = NAN if shape[1] > 3 else 0.0
        target = torch.randint(0, shape[1], (shape[0], shape[2]))
        target[-1, -1] = -100
        problem = RowProblem(logits=logits, target=target, skip=-100, class_weight=None, on=1.0, off=0.0)
        predicted, rank = cpu.row_read(problem)
        read = target != -100
        own = logits.gather(1, target.where(read, 0)[:, None])
        assert torch.equal(predicted, logits.max(1).indices.where(read, -1))
        assert torch.equal(rank, (logits > own).sum(1).where(read, -1))


@pytest.mark.parametrize("softcap", [None, 3.0])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_log_softmax(dtype: torch.dtype, softcap: float | None) -> None:
    for shape, name in itertools.product(SHAPES, ("inner last", "class last", "turned")):
        logits = (3 * layouts(*shape)[name]).to(dtype)
        target = torch.zeros(shape[0], shape[2], dtype=torch.int64)
        given = {"target": target, "skip": None, "class_weight": None, "on": 1.0, "off": 0.0}
        scale = torch.rand(shape[0], shape[2], dtype=F64 if dtype == F64 else F32) + 0.5
        problem = RowProblem(logits=logits, logit_scale=scale, softcap=softcap, **given)  # type: ignore[arg-type]
        oracle = Oracle(problem)
        out, upstream = torch.empty_like(logits), torch.randn(shape).to(dtype)
        cpu.log_softmax(problem, out)
        exact = oracle.shifted - oracle.log_sum[:, None]
        close("log_softmax", out, exact, 2 + np.abs(oracle.z) + np.abs(oracle.shifted), problem.compute_dtype)
        known = torch.from_numpy(exact).to(problem.compute_dtype)
        up = numbers(upstream)
        dz = (up - oracle.softmax * up.sum(1)[:, None]) * oracle.slope
        gradient = torch.empty_like(logits)
        d_scale = cpu.log_softmax_grad(problem, known, upstream, gradient, want_scale=True)
        size = (np.abs(up) + oracle.softmax * np.abs(up).sum(1)[:, None]) * (2 + np.abs(exact) + np.abs(oracle.z))
        size = size * np.maximum(oracle.scale, 1)
        close("gradient", gradient, dz * oracle.scale, size, problem.compute_dtype)
        total = (size * np.abs(oracle.x)).sum(1)
        close("d scale", d_scale, (dz * oracle.x).sum(1), total, problem.compute_dtype)  # type: ignore[arg-type]


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_normalised(smoothing: float) -> None:
    """nll rows: the loss is -sum q z, the gradient -q; skipped rows give 0."""
    z = torch.randn(6, 8, 5).log_softmax(1)
    target = torch.randint(0, 8, (6, 5))
    target[1] = 3
    given = {"skip": 3, "class_weight": torch.rand(8), "on": 1 - smoothing, "off": smoothing / 8}
    problem = RowProblem(logits=z, target=target, normalised=True, **given)  # type: ignore[arg-type]
    oracle = Oracle(problem)
    exact = np.where(oracle.read, -(oracle.q * numbers(z)).sum(1), 0)
    out = torch.full_like(z, NAN)
    loss = cpu.row_loss_and_grad(problem, torch.tensor(2.0), None, out)
    close("loss", loss, exact, 8.0, F32)
    close("gradient", out, np.where(oracle.read[:, None], -2 * oracle.q, 0), 1.0, F32)
    close("statistics", row_loss(cpu.row_stats(problem), 0.0), exact, 8.0, F32)


@pytest.mark.parametrize("shape", [(0, 5, 1), (3, 5, 0), (0, 5, 7)])
def test_empty(shape: tuple[int, int, int]) -> None:
    problem = make(torch.randn(shape), "plain")
    assert cpu.row_stats(problem, tilt=True).max.shape == problem.row_shape
    assert cpu.row_loss_and_grad(problem, torch.tensor(1.0), None, torch.empty(shape)).shape == problem.row_shape
    assert cpu.count_rows(problem, None) == (0, 0.0)
    assert cpu.row_read(problem).predicted.shape == problem.row_shape


def test_all_skipped() -> None:
    problem = make(torch.full((40, 6, 1), NAN), "plain")
    problem.target.fill_(-100)
    out = torch.full_like(problem.logits, NAN)
    assert not cpu.row_loss_and_grad(problem, torch.tensor(NAN), None, out).any()
    assert not out.any()


def test_past_the_caches_is_the_same() -> None:
    """Large results are written with other stores; every alignment of rows gives the same numbers."""
    for classes, dtype in ((1001, F32), (1023, BF16), (2000, F16), (700, F64)):
        rows = (9 << 20) // (classes * dtype.itemsize)
        logits = torch.randn(rows, classes, 1).to(dtype)
        problem = make(logits, "plain")
        large = cpu.empty(tuple(logits.shape), dtype, torch.device("cpu"))
        cpu.row_loss_and_grad(problem, torch.tensor(1.0), None, large)
        part = dataclasses.replace(problem, logits=logits[-100:], target=problem.target[-100:])
        small = torch.empty_like(part.logits)
        cpu.row_loss_and_grad(part, torch.tensor(1.0), None, small)
        assert torch.equal(large[-100:], small)


def test_processors_without_float16(monkeypatch: pytest.MonkeyPatch) -> None:
    """There a float16 kernel would end the process; the others run."""
    for name, able in (("x86-64-v2", False), ("x86-64-v3", True)) if platform.machine() == "x86_64" else ():
        monkeypatch.setenv("NUMBA_CPU_NAME", name)
        cpu.machine.converts_float16.cache_clear()
        assert (cpu.supports(torch.device("cpu"), F16) is None) is able
        assert cpu.supports(torch.device("cpu"), BF16) is None
    cpu.machine.converts_float16.cache_clear()


def test_supports() -> None:
    assert cpu.supports(torch.device("cpu"), F16) is None
    assert "device" in (cpu.supports(torch.device("meta"), F32) or "")
    assert "dtype" in (cpu.supports(torch.device("cpu"), torch.float8_e4m3fn) or "") or cpu.supports(
        torch.device("cpu"), torch.float8_e4m3fn
    )


def test_bfloat16_rounds_to_nearest_even() -> None:
    """The stored gradient is the float32 one rounded as torch rounds: q is chosen so that dz takes every low bit."""
    logits = torch.zeros(1, 4096, 1, dtype=BF16)
    probs = torch.linspace(-1, 1, 4096).reshape(1, 4096, 1)
    problem = RowProblem(logits=logits, target=probs, skip=None, class_weight=None, on=1.0, off=0.0)
    stats = cpu.row_stats(problem)
    coefficients = GradCoefficients(torch.zeros(1, 1), torch.ones(1, 1))
    narrow = torch.empty_like(logits)
    cpu.row_grad(problem, stats, coefficients, narrow)
    assert torch.equal(narrow, (-probs).to(BF16))
