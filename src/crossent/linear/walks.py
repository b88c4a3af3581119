"""The loops over chunks of rows: the loss alone, and the loss with its gradients.

One workspace holds the logits of a chunk and then, in place, their gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from crossent import stats
from crossent.backends.protocol import Backend, RowGradWant, RowProblem
from crossent.linear import counted, filtering, gemm
from crossent.linear.gemm import Gradients, Wants
from crossent.linear.head import Head
from crossent.linear.target_column import TargetColumn, target_column
from crossent.stats import GradCoefficients, RowStats


class Chunk(NamedTuple):
    """Rows start to stop of a head with their logits made."""

    start: int
    stop: int
    hidden: Tensor  # (stop - start, H)
    logits: Tensor  # (stop - start, V * D), overwritten by their gradient
    problem: RowProblem  # its logits are a view of ``logits``


# The passes of one gradient: targets to score against, with the coefficients of each (stats.py).
Passes = list[tuple[RowProblem, GradCoefficients]]


def chunks(head: Head, backend: Backend, rows: int) -> Iterator[Chunk]:
    """Every chunk in order, all in one workspace (grouped products bring memory of their own)."""
    held = min(rows, head.rows) if head.count is None else 0
    workspace = backend.empty((held, head.projection.shape[0]), head.dtype, head.projection.device)
    # One memory for the picked rows of all chunks: glibc reuses no freed block for an aligned one of the same size.
    picked = None
    if head.source is not None:
        picked = head.hidden.new_empty((min(rows, head.rows), head.hidden.shape[1]), dtype=head.dtype)
    for start in range(0, head.rows, rows):
        stop = min(start + rows, head.rows)
        hidden = head.hidden_rows(start, stop, picked)
        count = head.counted(start, stop)
        if count is None:
            logits = gemm.make_logits(head, hidden, workspace[: stop - start])
        else:
            logits = counted.logits(hidden, head.projection, head.bias, count)
        yield Chunk(start, stop, hidden, logits, head.part(logits, start, stop))


def statistics(
    head: Head, backend: Backend, rows: int, *, tilt: bool, look: Callable[[Chunk, RowStats], None]
) -> RowStats:
    """The statistics of all rows; ``look`` sees every chunk while its logits are there."""
    parts: list[RowStats] = []
    for chunk in chunks(head, backend, rows):
        numbers = backend.row_stats(chunk.problem, tilt=tilt)
        look(chunk, numbers)
        parts.append(numbers)
    return joined(head, parts, tilt=tilt)


def joined(head: Head, parts: list[RowStats], *, tilt: bool) -> RowStats:
    """The statistics of consecutive chunks as those of all rows, (n, D)."""
    if not parts:
        none = torch.zeros((0, head.inner), dtype=head.problem.compute_dtype, device=head.hidden.device)
        return RowStats(none, none, none, none, none if tilt else None)
    columns = zip(*parts, strict=True)
    return RowStats(*(None if column[0] is None else torch.cat(column) for column in columns))  # type: ignore[arg-type]


def one_pass(
    head: Head,
    backend: Backend,
    rows: int,
    factor: Tensor,
    row_factor: Tensor | None,
    wants: Wants,
    accumulate: torch.dtype,
    filter_eps: float = 0.0,
) -> tuple[Tensor, Gradients]:
    """Row losses, and the gradients of ``sum_i factor * row_factor_i * row_i``, three products."""
    total = gemm.empty_gradients(head, backend, wants, accumulate)
    losses: list[Tensor] = []
    least = filtering.least(filter_eps, factor if row_factor is None else factor * row_factor)
    _begin(total, filter_eps)
    for chunk in chunks(head, backend, rows):
        own = None if row_factor is None else row_factor[chunk.start : chunk.stop]
        losses.append(backend.row_loss_and_grad(chunk.problem, factor, own, chunk.problem.logits))
        consume(head, total, chunk, chunk.logits, least=least)
    if not losses:
        losses.append(torch.zeros((0, head.inner), dtype=head.problem.compute_dtype, device=head.hidden.device))
        _zero(total)
    return torch.cat(losses), total


def consume(
    head: Head,
    total: Gradients,
    chunk: Chunk,
    d_logits: Tensor,
    column: TargetColumn | None = None,
    least: Tensor | None = None,
) -> None:
    """The two products of a chunk's gradient, and its sum for the bias.

    ``column``: the part that is not in it; ``least``: leave out columns of smaller numbers (``filtering.py``).
    """
    if column is not None:
        column.take_out(d_logits)
    kept = None if least is None else filtering.kept_columns(d_logits, least)
    if kept is not None:
        _consume_kept(head, total, chunk, d_logits, column, kept)
    else:
        if total.projection is not None:
            first = chunk.start == 0 and least is None
            count = head.counted(chunk.start, chunk.stop)
            gemm.add_projection(total.projection, d_logits, chunk.hidden, first=first, count=count)
    if total.projection is not None and column is not None:
        column.add_to_projection(total.projection, chunk.hidden)
    if kept is None and total.hidden is not None:  # last: it may overwrite the chunk's hidden states
        gemm.add_hidden(head, total.hidden, d_logits, chunk.start, chunk.stop, column, chunk.hidden)
    if total.bias is not None:
        gemm.add_bias(total.bias, d_logits)
        if column is not None:
            column.add_to_bias(total.bias)


def _begin(total: Gradients, filter_eps: float) -> None:
    """The sum of a filtered gradient begins with zeros: some of its rows may never be written."""
    if filter_eps and total.projection is not None:
        total.projection.zero_()


def _consume_kept(
    head: Head, total: Gradients, chunk: Chunk, d_logits: Tensor, column: TargetColumn | None, kept: Tensor
) -> None:
    d_hidden = filtering.products(
        d_logits, chunk.hidden, head.projection, kept, total.projection, wants_hidden=total.hidden is not None
    )
    if total.hidden is not None and d_hidden is not None:
        if column is not None:
            d_hidden = column.add_to_hidden(d_hidden, head.projection)
        gemm.store_hidden(head, total.hidden, d_hidden, chunk.start, chunk.stop)


def gradients(
    head: Head,
    backend: Backend,
    rows: int,
    passes: Callable[[Chunk, RowStats], Passes],
    wants: Wants,
    accumulate: torch.dtype,
    *,
    numbers: RowStats | None = None,
    tilt: bool = False,
    look: Callable[[Chunk, RowStats], None] | None = None,
    apart: bool = False,
    filter_eps: float = 0.0,
) -> Gradients:
    """The gradients that ``passes`` asks for, chunk by chunk, from statistics that are known or taken anew.

    ``apart``: the targets' column goes into the sums by itself (``target_column.py``).
    """
    total = gemm.empty_gradients(head, backend, wants, accumulate)
    want = RowGradWant(scale=wants.scale, target=wants.target)
    _begin(total, filter_eps)
    for chunk in chunks(head, backend, rows):
        if numbers is None:
            own = backend.row_stats(chunk.problem, tilt=tilt)
        else:
            own = RowStats(*(None if number is None else number[chunk.start : chunk.stop] for number in numbers))  # type: ignore[arg-type]
        if look is not None:
            look(chunk, own)
        wanted, column = passes(chunk, own), None
        if apart and len(wanted) == 1 and wanted[0][0].is_index:
            column = target_column(backend, wanted[0][0], own, wanted[0][1])
        d_logits = _add_up(backend, chunk, own, wanted, want, total)
        if wants.products:
            least = filtering.least(filter_eps, wanted[0][1].hard) if len(wanted) == 1 else None
            consume(head, total, chunk, d_logits, column, least)
    if not head.rows:
        _zero(total)
    return total


def _add_up(
    backend: Backend, chunk: Chunk, numbers: RowStats, passes: Passes, want: RowGradWant, total: Gradients
) -> Tensor:
    """The gradient of the chunk's logits: in place for one pass; beside them, in float32, for several."""
    alone = len(passes) == 1
    d_logits = chunk.logits if alone else torch.zeros_like(chunk.logits, dtype=chunk.problem.compute_dtype)
    rows = slice(chunk.start, chunk.stop)
    for index, (problem, coefficients) in enumerate(passes):
        out = problem.logits if alone else torch.empty_like(problem.logits)
        grads = backend.row_grad(problem, numbers, coefficients, out, want=want)
        if not alone:
            d_logits += out.view_as(d_logits)
        for whole, part in ((total.scale, grads.scale), (total.target, grads.target)):
            if whole is not None and part is not None:
                whole[rows] = part if index == 0 else whole[rows] + part
    return d_logits.to(chunk.logits.dtype)


def _zero(total: Gradients) -> None:
    """No row was read: no gradient."""
    for gradient in total:
        if gradient is not None:
            gradient.zero_()


def row_losses(head: Head, numbers: RowStats) -> Tensor:
    """(n, D): what each row costs before its sample weight."""
    rows = stats.row_loss(numbers, head.problem.z_loss, weighted=head.problem.weighted)
    if head.problem.is_index:  # K-dimensional heads read a row when any of its targets counts
        rows = torch.where(head.problem.target == head.problem.skip, 0.0, rows)
    return rows
