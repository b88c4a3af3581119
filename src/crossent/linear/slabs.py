"""Walks over slabs of classes, for budgets that hold no sum of the weight's gradient.

A tile is some rows by a slab of classes. Statistics of the tiles of a row are merged (``stats.merge``);
once they are known, the gradient of any tile can be made by itself. So the hidden states' gradient is
finished row by row and the weight's slab by slab, each with its own small sum:

    rows outside:   logits -> statistics, and d hidden[rows] = sum over slabs      2 products (3 if a row is tiled)
    slabs outside:  logits -> d W[slab] = sum over rows                            2 products

Index targets without smoothing name one class, which lies in one slab: elsewhere the row has no target
(``hard`` is 0). With smoothing every class has a share, and the target is spelled out as probabilities.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from crossent import stats
from crossent.backends.protocol import Backend, RowGrads, RowGradWant, RowProblem
from crossent.linear import gemm, walks
from crossent.linear.gemm import Gradients, Wants
from crossent.linear.head import Head
from crossent.linear.plan import Steps
from crossent.linear.walks import Chunk, Passes, joined
from crossent.stats import GradCoefficients, RowStats


class Tile(NamedTuple):
    """Rows start to stop by classes first to last, with their logits made."""

    start: int
    stop: int
    first: int
    last: int
    hidden: Tensor
    logits: Tensor  # (stop - start, (last - first) * D)
    problem: RowProblem
    inside: Tensor | None  # (stop - start, D): whether the row's class is in this slab; None: q is spelled out


@dataclass(frozen=True, slots=True)
class Walk:
    """What every loop below needs."""

    head: Head
    backend: Backend
    plan: Steps  # its rows and classes are those of a tile
    workspace: Tensor  # one tile; the next one is made over it

    @staticmethod
    def of(head: Head, backend: Backend, plan: Steps, tile: tuple[int, int] | None = None) -> Walk:
        """A walk with its workspace; ``tile``: in tiles of other (rows, classes) than the plan's."""
        if tile is not None:
            plan = replace(plan, rows=tile[0], classes=tile[1])
        size = min(plan.rows, head.rows) * plan.classes * head.inner
        return Walk(head, backend, plan, backend.empty((size,), head.dtype, head.projection.device))

    def starts(self) -> Iterator[tuple[int, int]]:
        """(start, stop) of every chunk of rows."""
        for start in range(0, self.head.rows, self.plan.rows):
            yield start, min(start + self.plan.rows, self.head.rows)

    def slabs(self) -> Iterator[tuple[int, int]]:
        """(first, last) of every slab of classes."""
        classes = self.head.problem.classes
        for first in range(0, classes, self.plan.classes):
            yield first, min(first + self.plan.classes, classes)

    def tile(self, start: int, stop: int, first: int, last: int, hidden: Tensor | None = None) -> Tile:
        """A tile and its logits; ``hidden`` where the rows of the tile are at hand."""
        head, inner = self.head, self.head.inner
        hidden = head.hidden_rows(start, stop) if hidden is None else hidden
        columns = (last - first) * inner
        logits = self.workspace[: (stop - start) * columns].view(stop - start, columns)
        gemm.make_logits(head, hidden, logits, first * inner, last * inner)
        problem, inside = _slab(head, logits, start, stop, first, last)
        return Tile(start, stop, first, last, hidden, logits, problem, inside)


def _slab(head: Head, logits: Tensor, start: int, stop: int, first: int, last: int) -> tuple[RowProblem, Tensor | None]:
    """The problem of a tile: the part of q that lies in it."""
    problem, inner, scale = head.problem, head.inner, head.problem.logit_scale
    weight = problem.class_weight
    target, skip, inside = problem.target[start:stop], problem.skip, None
    if not problem.is_index:
        target = target[:, first:last]
    elif problem.off == 0.0:
        inside = (target >= first) & (target < last) & (target != skip)
        target, skip = torch.where(target == skip, -1, torch.where(inside, target - first, 0)), -1
    else:
        columns = torch.arange(first, last, device=target.device)[:, None]
        target, skip = (target[:, None] == columns).to(problem.compute_dtype), None
    return (
        replace(
            problem,
            logits=logits.view(stop - start, last - first, inner),
            target=target,
            skip=skip,
            class_weight=None if weight is None else weight[first:last].contiguous(),
            logit_scale=scale[start:stop] if isinstance(scale, Tensor) else scale,
        ),
        inside,
    )


def statistics(walk: Walk) -> RowStats:
    """The statistics of all rows, merged over slabs."""
    parts = [_row_statistics(walk, start, stop) for start, stop in walk.starts()]
    return joined(walk.head, parts, tilt=False)


def _row_statistics(walk: Walk, start: int, stop: int) -> RowStats:
    known: RowStats | None = None
    hidden = walk.head.hidden_rows(start, stop)
    for first, last in walk.slabs():
        tile = walk.tile(start, stop, first, last, hidden)
        own = walk.backend.row_stats(tile.problem)
        if tile.inside is not None:
            own = own._replace(dot=torch.where(tile.inside, own.dot, 0.0), mass=torch.where(tile.inside, own.mass, 0.0))
        known = own if known is None else stats.merge(known, own)
    assert known is not None
    return _unread_are_zero(walk.head, known, start, stop)


def _unread_are_zero(head: Head, numbers: RowStats, start: int, stop: int) -> RowStats:
    if not head.problem.is_index:
        return numbers
    read = head.problem.target[start:stop] != head.problem.skip
    return RowStats(*(None if number is None else torch.where(read, number, 0.0) for number in numbers))  # type: ignore[arg-type]


def with_whole_rows(
    head: Head, backend: Backend, plan: Steps, passes: Callable[[Chunk, RowStats], Passes], wants: Wants
) -> tuple[RowStats, Gradients]:
    """Statistics and every gradient but the weight's, in chunks of whole rows: two products."""
    parts: list[RowStats] = []
    total = walks.gradients(
        head, backend, plan.whole_rows, passes, wants._replace(projection=False), plan.accumulate,
        look=lambda chunk, numbers: parts.append(numbers),
    )  # fmt: skip
    return joined(head, parts, tilt=False), total


def gradients(walk: Walk, numbers: RowStats, coefficients: GradCoefficients, wants: Wants) -> Gradients:
    """The gradients of known statistics and coefficients, (n, D) each."""
    head = walk.head
    total = gemm.empty_gradients(head, walk.backend, wants._replace(projection=False), head.dtype)
    if wants.projection:
        shape, device = tuple(head.projection.shape), head.projection.device
        total = total._replace(projection=walk.backend.empty(shape, head.dtype, device))
    if wants.hidden or wants.target or wants.scale:
        _rows_outside(walk, numbers, coefficients, wants, total)
    if wants.projection or wants.bias:
        _slabs_outside(walk, numbers, coefficients, total)
    return total


def _rows_outside(
    walk: Walk, numbers: RowStats, coefficients: GradCoefficients, wants: Wants, total: Gradients
) -> None:
    """d hidden, d target and d scale."""
    head = walk.head
    want = RowGradWant(scale=wants.scale, target=wants.target)
    wide = head.problem.compute_dtype
    for start, stop in walk.starts():
        d_hidden = torch.zeros(stop - start, head.hidden.shape[1], dtype=wide, device=head.hidden.device)
        d_scale = torch.zeros(stop - start, head.inner, dtype=wide, device=head.hidden.device)
        hidden = head.hidden_rows(start, stop)
        for first, last in walk.slabs():
            tile = walk.tile(start, stop, first, last, hidden)
            grads = _tile_gradient(walk.backend, tile, numbers, coefficients, want)
            if total.hidden is not None:
                part = head.projection[first * head.inner : last * head.inner]
                if wide == head.dtype:
                    d_hidden.addmm_(tile.logits, part)
                else:
                    d_hidden += torch.mm(tile.logits, part)
            if grads.scale is not None:
                d_scale += grads.scale
            if total.target is not None and grads.target is not None:
                total.target[start:stop, first:last] = grads.target
        if total.hidden is not None:
            gemm.store_hidden(head, total.hidden, d_hidden, start, stop)
        if total.scale is not None:
            total.scale[start:stop] = d_scale


def _slabs_outside(walk: Walk, numbers: RowStats, coefficients: GradCoefficients, total: Gradients) -> None:
    """d projection and d bias."""
    head = walk.head
    for first, last in walk.slabs():
        columns = slice(first * head.inner, last * head.inner)
        whole = None if total.projection is None else total.projection[columns]
        part = whole
        if whole is not None and walk.plan.rows < head.rows and walk.plan.accumulate != whole.dtype:
            part = torch.empty(whole.shape, dtype=walk.plan.accumulate, device=whole.device)
        for start, stop in walk.starts():
            tile = walk.tile(start, stop, first, last)
            _tile_gradient(walk.backend, tile, numbers, coefficients, RowGradWant())
            if part is not None:
                gemm.add_projection(part, tile.logits, tile.hidden, first=start == 0)
            if total.bias is not None:
                gemm.add_bias(total.bias[columns], tile.logits)
        if whole is not None and part is not None and part is not whole:
            whole.copy_(part)
        if whole is not None and not head.rows:
            whole.zero_()


def _tile_gradient(
    backend: Backend, tile: Tile, numbers: RowStats, coefficients: GradCoefficients, want: RowGradWant
) -> RowGrads:
    rows = slice(tile.start, tile.stop)
    own = RowStats(*(None if number is None else number[rows] for number in numbers))  # type: ignore[arg-type]
    hard = coefficients.hard[rows]
    if tile.inside is not None:
        hard = torch.where(tile.inside, hard, 0.0)
    mine = GradCoefficients(soft=coefficients.soft[rows], hard=hard)
    return backend.row_grad(tile.problem, own, mine, tile.problem.logits, want=want)
