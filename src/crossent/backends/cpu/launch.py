"""From tensors to kernels: addresses, strides, scratch and threads. No arithmetic on rows."""

from __future__ import annotations

import torch
from torch import Tensor

from crossent.backends import normalised
from crossent.backends.cpu import memory, threads
from crossent.backends.cpu.cache import entry
from crossent.backends.cpu.layout import (
    NOWHERE,
    VECTORS,
    Columns,
    Flags,
    Given,
    Grid,
    Numbers,
    Place,
    arrange,
    can_join,
    index_place,
    lanes_for,
    pack,
    place_of,
    scratch_last,
    stored_in,
)
from crossent.backends.protocol import (
    RowCount,
    RowGrads,
    RowGradWant,
    RowProblem,
    RowReading,
    Rows,
    TargetOutOfRange,
)
from crossent.stats import GradCoefficients, RowStats

# A result larger than this is written past the caches: no cache could keep it for its reader.
PAST_CACHES_BYTES = 8 << 20
# Sums of losses that the rows of a call are added up in, at most: each in float64, in an order that no thread changes.
MOST_SUMS = 4096
# Time of one class and of one row on one thread, for the decision to share (measured on Zen 4).
CLASS_NS, ROW_NS = 0.4, 60.0


def _address(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()


PLAIN = Numbers(1.0, 0.0, 0.0, 1.0, 0.0, 1.0)


class _Call:
    """What every kernel is told about a problem; keeps alive the tensors whose addresses it holds."""

    def __init__(self, rows: Rows, *tensors: Tensor | None) -> None:
        logits = rows.logits.resolve_neg()
        self.dtype = rows.compute_dtype
        self.outer, self.classes, self.inner = logits.shape
        scale = rows.logit_scale
        per_row = isinstance(scale, Tensor)
        row_scale = scale.to(self.dtype).contiguous() if per_row else None
        self.scale = 1.0 if per_row else float(scale)
        self.softcap = float(rows.softcap or 0.0)
        self.row_scale = _address(row_scale)
        self.alive: list[Tensor | None] = [row_scale]
        self.rows = self.outer * self.inner
        self.places = [self._place(tensor) for tensor in (logits, *tensors)]
        self._arrange(logits)

    def _place(self, tensor: Tensor | None) -> Place:
        if tensor is None:
            return NOWHERE
        self.alive.append(tensor)
        assert stored_in(tensor.dtype, self.dtype) or not tensor.is_floating_point(), (tensor.dtype, self.dtype)
        return place_of(tensor) if tensor.dim() == 3 else index_place(tensor)

    def _arrange(self, logits: Tensor) -> None:
        """Choose kernels and order of rows; ``rows`` and ``lanes`` become those of the arrangement."""
        outer, inner = self.outer, self.inner
        joined = can_join(logits.shape, tuple(self.places))
        self.across_rows, joined, swapped = arrange(logits.shape, logits.stride(), joined)
        by_outer, by_inner = inner, 1  # of per-row numbers
        if joined and inner > 1:
            self.places = [p._replace(outer=0) for p in self.places]
            outer, inner = 1, outer * inner
        elif swapped and self.across_rows:
            self.places = [p._replace(outer=p.inner, inner=p.outer) for p in self.places]
            outer, inner, by_outer, by_inner = inner, outer, 1, inner
        self.shape = (outer, inner)
        self.by_row = (by_outer, by_inner)

    def tiles(self, rows_kept: int) -> tuple[int, int]:
        """How many units of work there are, and the lanes of a tile (0: a unit is a row)."""
        outer, inner = self.shape
        if not self.across_rows:
            return outer * inner, 0
        lanes = lanes_for(self.classes, inner, self.dtype.itemsize, rows_kept)
        return outer * -(-inner // lanes), lanes

    def share(
        self,
        kernel: str,
        *parts: Place | Given | int,
        numbers: Numbers,
        columns: Columns,
        flags: Flags,
        rows_kept: int = 1,
        grain: int = 1,
    ) -> list[int]:
        """Run a kernel over all rows, on as many threads as it is worth. rows_kept: rows of scratch per row; grain:
        units that one thread takes together."""
        units, lanes = self.tiles(rows_kept)
        if not units:
            return []
        if self.across_rows:
            size = lanes * (VECTORS + self.classes * rows_kept)
            name, unit_ns = f"{kernel}_inner", lanes * self.classes * CLASS_NS
        else:
            size = scratch_last(self.classes, rows_kept)
            name, unit_ns = f"{kernel}_last", self.classes * CLASS_NS + ROW_NS
        run = entry(name, self.dtype)
        grid = Grid(0, 0, self.shape[1], self.classes, *self.by_row, lanes)
        packed = pack(grid, *self.places, *parts, numbers=numbers, columns=columns, flags=flags)

        return threads.share(run, packed, threads.plan(units, unit_ns, grain), size * self.dtype.itemsize)

    def plain(self, out: Tensor) -> tuple[Columns, Numbers, Flags]:
        """Arguments of a kernel without targets."""
        past_caches = int(out.nbytes >= PAST_CACHES_BYTES)
        return (
            Columns(0, self.row_scale, 0),
            Numbers(1.0, 0.0, 0.0, self.scale, self.softcap, 1.0),
            Flags(0, 0, past_caches, 0),
        )


class _Scored(_Call):
    """A call with targets."""

    def __init__(self, problem: RowProblem, out: Tensor | None, *more: Tensor | None) -> None:
        target = problem.target
        if not problem.is_index:
            target = _storable(target.resolve_neg(), problem.compute_dtype)
        super().__init__(problem, target, out, *more)
        aliased = out is not None and out.data_ptr() == problem.logits.data_ptr()
        self.past_caches = int(out is not None and out.nbytes >= PAST_CACHES_BYTES and not aliased)
        self.weight = _address(problem.class_weight)
        self.problem = problem
        self.skip = 0 if problem.skip is None else problem.skip
        self.has_skip = int(problem.skip is not None)
        self.alive.append(problem.class_weight)

    def numbers(self, factor: float = 1.0) -> Numbers:
        problem = self.problem
        return Numbers(problem.on, problem.off, problem.z_loss, self.scale, self.softcap, factor)

    def flags(self, tilt: bool = False) -> Flags:
        return Flags(self.skip, self.has_skip, self.past_caches, int(tilt))

    def refuse(self, bad_rows: list[int]) -> None:
        """Raise for the first row whose target is out of range, if any (``bad_rows``: -1 for none)."""
        bad = [row for row in bad_rows if row >= 0]
        if bad:
            row = min(bad)
            target = self.problem.target
            raise TargetOutOfRange(row, int(target[row // target.shape[1], row % target.shape[1]]))


def _loss(
    call: _Scored,
    stats: Tensor | None = None,
    loss: Tensor | None = None,
    factor: float = 1.0,
    row_factor: Tensor | None = None,
    *,
    tilt: bool = False,
    summed: bool = False,
) -> Tensor | None:
    """Run the one-pass kernel; ``summed``: the float64 sum of ``row_factor`` times the row losses."""
    kept = 2 if call.softcap and call.places[2].address else 1
    units, lanes = call.tiles(kept)
    group = 1 if lanes else max(1, units // MOST_SUMS)
    sums = torch.zeros(-(-units // group), dtype=torch.float64) if summed else None
    if not call.problem.classes:  # sums over nothing
        _check_targets(call.problem)
        for result in (stats, loss):
            if result is not None:
                result.zero_()
        return None if sums is None else sums.sum()
    columns = Columns(call.weight, call.row_scale, _address(row_factor))
    vectors = (_address(stats), call.rows, _address(loss), _address(sums), group)
    numbers, flags = call.numbers(factor), call.flags(tilt)
    bad = call.share("loss", *vectors, numbers=numbers, columns=columns, flags=flags, rows_kept=kept, grain=group)
    call.refuse(bad)
    return None if sums is None else sums.sum()


def row_stats(problem: RowProblem, *, tilt: bool = False) -> RowStats:
    """The statistics of each row in one read of the logits."""
    if problem.normalised:
        _check_targets(problem)
        dot, mass = normalised.row_sums(problem)
        zero = torch.zeros_like(dot)
        return RowStats(zero, zero, dot, mass, zero if tilt else None)
    call = _Scored(problem, None)
    stats = memory.empty((4 + tilt, *problem.row_shape), call.dtype)
    _loss(call, stats, tilt=tilt)
    return RowStats(*stats.unbind())


def row_loss_and_grad(problem: RowProblem, factor: Tensor, row_factor: Tensor | None, out: Tensor) -> Tensor:
    """Row losses, and ``factor * row_factor * d row / d logits`` in ``out`` (which may be the logits)."""
    if problem.normalised:
        stats = row_stats(problem)
        normalised.gradient(problem, factor.expand_as(stats.dot) if row_factor is None else factor * row_factor, out)
        return -stats.dot
    call, row_factor = _scored_for(problem, row_factor, out)
    loss = memory.empty(problem.row_shape, call.dtype)
    _loss(call, None, loss, float(factor), row_factor)
    return loss


def total_and_grad(problem: RowProblem, factor: Tensor, row_factor: Tensor | None, out: Tensor) -> Tensor:
    """``row_loss_and_grad`` that returns the sum of ``row_factor`` times the row losses, and keeps none of them."""
    if problem.normalised:
        rows = row_loss_and_grad(problem, factor, row_factor, out)
        return (rows if row_factor is None else rows * row_factor).sum()
    call, row_factor = _scored_for(problem, row_factor, out)
    total = _loss(call, None, None, float(factor), row_factor, summed=True)
    assert total is not None
    return total.to(call.dtype)


def _scored_for(problem: RowProblem, row_factor: Tensor | None, out: Tensor) -> tuple[_Scored, Tensor | None]:
    """A call that writes a gradient to ``out``; targets checked if that is where the logits are."""
    call = _Scored(problem, out)
    if out.data_ptr() == problem.logits.data_ptr():
        _check_targets(problem)  # before anything is overwritten
    return call, None if row_factor is None else row_factor.to(call.dtype).contiguous()


def row_grad(
    problem: RowProblem,
    stats: RowStats,
    coefficients: GradCoefficients,
    out: Tensor,
    *,
    want: RowGradWant = RowGradWant(),  # noqa: B008
) -> RowGrads:
    """The gradient in ``out`` from known statistics."""
    if problem.normalised:
        _check_targets(problem)
        scale = normalised.gradient(problem, coefficients.hard, out)
        target = normalised.target_gradient(problem, coefficients.hard) if want.target else None
        return RowGrads(scale if want.scale else None, target)
    if out.data_ptr() == problem.logits.data_ptr():
        _check_targets(problem)  # before anything is overwritten
    dtype = problem.target.dtype
    stored = dtype if stored_in(dtype, problem.compute_dtype) else problem.compute_dtype
    target = torch.empty(problem.target.shape, dtype=stored) if want.target else None
    call = _Scored(problem, out, target)
    vectors = [v if v is None else v.to(call.dtype).contiguous() for v in (stats.max, stats.log_sum, *coefficients)]
    scale = torch.empty(problem.row_shape, dtype=call.dtype) if want.scale else None
    given = Given(*map(_address, (*vectors, scale)))
    columns, numbers, flags = Columns(call.weight, call.row_scale, 0), call.numbers(), call.flags()
    call.refuse(call.share("grad", given, numbers=numbers, columns=columns, flags=flags, rows_kept=0))
    return RowGrads(scale, None if target is None else target.to(dtype))


def count_rows(problem: RowProblem, row_weight: Tensor | None) -> RowCount:
    """How many rows are read, and the sum of their shares."""
    outer, inner = problem.row_shape
    dtype = problem.compute_dtype
    if not problem.is_index:
        share = torch.tensor(outer * inner, dtype=dtype) if row_weight is None else row_weight.to(dtype).sum()
        return RowCount(torch.tensor(outer * inner), share)
    if row_weight is not None:
        row_weight = row_weight.to(dtype).contiguous()
    rows, share = _count(problem, problem.class_weight, row_weight)
    return RowCount(torch.tensor(rows), torch.tensor(share, dtype=dtype))


def _check_targets(problem: RowProblem) -> None:
    """Refuse index targets out of range."""
    if problem.is_index:
        _count(problem, None, None)


def _count(problem: RowProblem, weight: Tensor | None, row_weight: Tensor | None) -> tuple[int, float]:
    """(rows that are read, sum of their shares); one thread: 2 ns a row, and sums in one order."""
    outer, inner = problem.row_shape
    if not outer * inner:
        return 0, 0.0
    target = problem.target
    result = torch.empty(2, dtype=torch.float64)
    addresses = [_address(tensor) for tensor in (weight, row_weight)]
    skip = 0 if problem.skip is None else problem.skip
    place = index_place(target)
    if inner == 1 or outer == 1 or place.outer == inner * place.inner:  # one row of targets: a vector loop
        place = place._replace(inner=place.outer if inner == 1 else place.inner)
        outer, inner = 1, outer * inner
    packed = pack(
        Grid(0, 0, inner, problem.classes, inner, 1, 0),
        place,
        result.data_ptr(),
        numbers=PLAIN,
        columns=Columns(addresses[0], 0, addresses[1]),
        flags=Flags(skip, int(problem.skip is not None), 0, 0),
    )
    bad = entry("count", problem.compute_dtype)(0, packed, 0, outer)
    if bad >= 0:
        raise TargetOutOfRange(bad, int(target.reshape(-1)[bad]))
    rows, share = result.tolist()
    return int(rows), share


def row_read(problem: RowProblem) -> RowReading:
    """Predicted class and rank of the target."""
    call = _Scored(problem, None)
    call.places.pop()
    predicted, rank = torch.full((2, *problem.row_shape), -1).unbind()
    columns, numbers, flags = Columns(call.weight, call.row_scale, 0), call.numbers(), call.flags()
    to = (predicted.data_ptr(), rank.data_ptr())
    call.refuse(call.share("read", *to, numbers=numbers, columns=columns, flags=flags, rows_kept=0))
    return RowReading(predicted, rank)


def _storable(tensor: Tensor, compute: torch.dtype) -> Tensor:
    """The tensor, or a copy of it in the compute type where kernels do not read its own (float64 beside others)."""
    return tensor if stored_in(tensor.dtype, compute) else tensor.to(compute)


def log_softmax(rows: Rows, out: Tensor) -> None:
    """out = z - max - log sum exp(z - max)."""
    stored = _storable(out, rows.compute_dtype)
    call = _Call(rows, stored)
    columns, numbers, flags = call.plain(stored)
    call.share("log_softmax", numbers=numbers, columns=columns, flags=flags)
    if stored is not out:
        out.copy_(stored)


def log_softmax_grad(
    rows: Rows, log_probs: Tensor, upstream: Tensor, out: Tensor, *, want_scale: bool = False
) -> Tensor | None:
    """out = (g - softmax sum_c g_c) dz/dx; on request the gradient to logit_scale per row."""
    log_probs, upstream = (_storable(given, rows.compute_dtype) for given in (log_probs, upstream))
    stored = _storable(out, rows.compute_dtype)
    call = _Call(rows, log_probs, upstream, stored)
    columns, numbers, flags = call.plain(stored)
    scale = torch.empty(rows.row_shape, dtype=call.dtype) if want_scale else None
    to = _address(scale)
    call.share("log_softmax_grad", to, numbers=numbers, columns=columns, flags=flags)
    if stored is not out:
        out.copy_(stored)
    return scale
