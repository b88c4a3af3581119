"""From a call to rows: which rows of the hidden states are read, and what their logits are scored against.

The logits never exist, but their layout does: an expanded scalar of the logits' shape goes through
``problem.row_problem``, so every shape, target, option and ``shift`` means what it means for
``cross_entropy``. What comes back is a :class:`Head`: the problem of all rows that are read, from which
each chunk takes its part.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from crossent import errors
from crossent.backends.protocol import RowProblem, TargetOutOfRange, on_host
from crossent.options import LossOptions
from crossent.problem import Layout, LossTensors, row_problem


class LinearTensors(NamedTuple):
    """The caller's tensors, as they came."""

    input: Tensor
    linear_weight: Tensor
    target: Tensor
    linear_bias: Tensor | None = None
    weight: Tensor | None = None
    sample_weight: Tensor | None = None
    denominator: Tensor | float | None = None
    logit_scale: Tensor | float | None = None

    def scored(self, logits: Tensor) -> LossTensors:
        """The call of ``cross_entropy`` on these logits."""
        return LossTensors(
            logits, self.target, self.weight, self.sample_weight, self.denominator, self.logit_scale
        )  # fmt: skip

    def unmade(self, dtype: torch.dtype) -> Tensor:
        """A tensor with the logits' shape, dtype and device, and the memory of one number."""
        shape = logits_shape(self.input, self.linear_weight)
        return torch.empty((), dtype=dtype, device=self.input.device).expand(shape)


def logits_shape(input: Tensor, linear_weight: Tensor) -> tuple[int, ...]:
    """(C), (N, C, d1, ..., dK), or (..., C) of sequences."""
    return (*input.shape[:-1], linear_weight.shape[0], *linear_weight.shape[1:-1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The rows that are read: n of them, D predictions each (1 but for K-dimensional heads)."""

    hidden: Tensor  # (R, H): the hidden states, one row per position
    source: Tensor | None  # (n,) rows of ``hidden``; None: all of them, in order
    kept: Tensor | None  # (n,) rows of the layout; None: all of them, in order
    rows_in_layout: int
    projection: Tensor  # (V * D, H) in the dtype of the products
    bias: Tensor | None  # (V * D,) in the dtype of the products
    problem: RowProblem  # of the n rows; its logits (n, V, D) are an expanded scalar
    count: Tensor | None = None  # 0-d: rows with a target, which stand in front of the others (counted.py)
    kept_promise: Tensor | None = None  # 0-d: 1, or NaN where more rows have a target than valid_rows= said

    @property
    def rows(self) -> int:
        """n."""
        return self.problem.logits.shape[0]

    @property
    def inner(self) -> int:
        """D."""
        return self.problem.logits.shape[2]

    @property
    def dtype(self) -> torch.dtype:
        """Of the products."""
        return self.projection.dtype

    def counted(self, start: int, stop: int) -> Tensor | None:
        """(1,) int32: how many of rows start to stop have a target; None where that is not counted."""
        if self.count is None:
            return None
        return (self.count - start).clamp(0, stop - start).to(torch.int32).view(1)

    def gathers(self) -> bool:
        """Whether a chunk's hidden states must be copied: rows picked, or the dtype converted."""
        return self.source is not None or self.hidden.dtype != self.dtype

    def hidden_rows(self, start: int, stop: int, out: Tensor | None = None) -> Tensor:
        """(stop - start, H) in the dtype of the products; in ``out`` where rows are picked and one is given."""
        if self.source is None:
            return self.hidden[start:stop].to(self.dtype)
        if out is not None and self.hidden.dtype == self.dtype:
            return torch.index_select(self.hidden, 0, self.source[start:stop], out=out[: stop - start])
        return self.hidden.index_select(0, self.source[start:stop]).to(self.dtype)

    def part(self, logits: Tensor, start: int, stop: int) -> RowProblem:
        """The problem of rows start to stop, whose logits are in (stop - start, V * D)."""
        problem = self.problem
        scale = problem.logit_scale
        return replace(
            problem,
            logits=logits.view(stop - start, problem.classes, self.inner),
            target=problem.target[start:stop],
            logit_scale=scale[start:stop] if isinstance(scale, Tensor) else scale,
        )

    def pick(self, layout: Layout, tensor: Tensor) -> Tensor:
        """(n, D) of a tensor of the index shape, in the compute dtype."""
        rows = layout.per_row(tensor, (self.rows_in_layout, self.inner)).to(self.problem.compute_dtype)
        return rows.contiguous() if self.kept is None else rows.index_select(0, self.kept)

    def spread(self, layout: Layout, rows: Tensor, fill: float | int | bool = 0) -> Tensor:
        """The index shape of an (n, D) answer; ``fill`` where a row is not read."""
        if self.kept is not None:
            full = rows.new_full((self.rows_in_layout, *rows.shape[1:]), fill)
            rows = full.index_copy_(0, self.kept, rows)
        if rows.dim() == 2:
            return layout.from_rows(rows, fill)
        wide = (layout.from_rows(column, fill) for column in rows.unbind(2))  # several numbers per row
        return torch.stack(tuple(wide), -1)


def head_of(
    tensors: LinearTensors,
    options: LossOptions,
    layout: Layout,
    dtype: torch.dtype,
    valid_rows: int | None = None,
    *,
    counted: bool = False,
) -> Head:
    """The rows of a call that was checked. On the CPU ignored rows are left out; elsewhere those that ``valid_rows``
    has no room for are, and kernels skip the others, as products do where they are to be ``counted``."""
    problem = row_problem(tensors.scored(tensors.unmade(dtype)), options, layout, function="cross_entropy")
    outer = problem.logits.shape[0]
    hidden = tensors.input.detach().reshape(-1, tensors.input.shape[-1])
    kept, promise, count = _read_rows(problem, valid_rows, counted=counted)
    source = _unshifted(layout, outer, hidden.device) if layout.unread else None
    if kept is not None:
        source = kept if source is None else source.index_select(0, kept)
        problem = _picked(problem, kept)
    outputs = math.prod(tensors.linear_weight.shape[:-1])
    bias = tensors.linear_bias
    return Head(
        hidden=hidden,
        source=source,
        kept=kept,
        rows_in_layout=outer,
        projection=tensors.linear_weight.detach().reshape(outputs, -1).to(dtype),
        bias=None if bias is None else bias.detach().reshape(-1).to(dtype),
        problem=problem,
        count=count,
        kept_promise=promise,
    )


def _read_rows(
    problem: RowProblem, valid_rows: int | None, *, counted: bool
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Which rows are read, None for all; whether a promise of how many was kept; how many of them have a target, where
    a device counts. Refuses targets out of range on the CPU."""
    target = problem.target
    if not problem.is_index:
        return None, None, None
    read = target != problem.skip
    if not on_host(target):
        return _rows_in_front(read.any(1), valid_rows, counted=counted)
    bad = read & ((target < 0) | (target >= problem.classes))
    if bad.any():
        row = int(bad.reshape(-1).nonzero()[0])
        raise TargetOutOfRange(row, int(target.reshape(-1)[row]))
    some = read.any(1)
    if valid_rows is not None and int(some.sum()) > valid_rows:
        raise errors.refuse("XEN057", came=valid_rows, rows=int(some.sum()))
    return (None if some.all() else some.nonzero().squeeze(1)), None, None


def _rows_in_front(
    some: Tensor, valid_rows: int | None, *, counted: bool
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """The first ``valid_rows`` rows (all of them) once those with a target stand in front. Sizes are known beforehand,
    so nothing waits for the device; a promise that was too small turns the loss into NaN."""
    rows = some.shape[0]
    front = rows if valid_rows is None else min(valid_rows, rows)
    if front == rows and not counted:
        return None, None, None
    kept, count = some.logical_not().sort(stable=True).indices[:front], some.sum()
    one = torch.ones((), dtype=torch.float32, device=some.device)
    promise = torch.where(count > front, torch.nan, one) if front < rows else None
    return kept, promise, count if counted else None


def _unshifted(layout: Layout, outer: int, device: torch.device) -> Tensor:
    """The row of the hidden states that predicts each row of the layout."""
    length = layout.index_shape[-1]
    counted = length - layout.unread
    sequences = outer // counted if counted else 0
    starts = torch.arange(sequences, device=device).mul_(length)
    return (starts[:, None] + torch.arange(counted, device=device)).reshape(-1)


def _picked(problem: RowProblem, kept: Tensor) -> RowProblem:
    scale = problem.logit_scale
    return replace(
        problem,
        logits=problem.logits.new_empty(()).expand(kept.shape[0], *problem.logits.shape[1:]),
        target=problem.target.index_select(0, kept),
        logit_scale=scale.index_select(0, kept) if isinstance(scale, Tensor) else scale,
    )
