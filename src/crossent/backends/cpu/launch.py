"""From tensors to kernels: addresses, strides, scratch and threads. No arithmetic on rows."""

from __future__ import annotations

import torch
from torch import Tensor

from crossent.backends.cpu import threads
from crossent.backends.cpu.cache import entry
from crossent.backends.cpu.layout import (
    KIND,
    NOWHERE,
    Columns,
    Flags,
    Given,
    Grid,
    Numbers,
    Place,
    index_place,
    place_of,
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
# Time of one class on one thread, for the decision to share (measured on Zen 4: 0.3-0.6).
CLASS_NS = 0.4


class _Call:
    """What every kernel is told about a problem; keeps alive the tensors whose addresses it holds."""

    def __init__(self, rows: Rows, out: Tensor | None) -> None:
        logits = rows.logits.resolve_neg()
        self.dtype = rows.compute_dtype
        self.outer, self.classes, self.inner = logits.shape
        self.rows = self.outer * self.inner
        self.logits = place_of(logits)
        self.out = NOWHERE if out is None else place_of(out)
        scale = rows.logit_scale
        per_row = isinstance(scale, Tensor)
        row_scale = scale.to(self.dtype).contiguous() if per_row else None
        self.scale = 1.0 if per_row else float(scale)
        self.softcap = float(rows.softcap or 0.0)
        self.row_scale = row_scale.data_ptr() if per_row else 0
        self.past_caches = int(out is not None and out.nbytes >= PAST_CACHES_BYTES and out.data_ptr() != logits.data_ptr())
        self.alive = [logits, row_scale, out]

    def grid(self, first: int, last: int) -> Grid:
        return Grid(first, last, self.inner, self.classes, self.inner, 1)

    def share(self, work) -> list[int]:
        """``work(first, last)`` over all rows, on as many threads as it is worth."""
        return threads.run(threads.plan(self.rows, self.classes * CLASS_NS), work)


class _Scored(_Call):
    """A call with targets."""

    def __init__(self, problem: RowProblem, out: Tensor | None) -> None:
        super().__init__(problem, out)
        target = problem.target
        if not problem.is_index:
            target = target.resolve_neg() if target.dtype in KIND else target.float()
        self.target = index_place(target) if problem.is_index else place_of(target)
        self.weight = 0 if problem.class_weight is None else problem.class_weight.data_ptr()
        self.problem = problem
        self.skip = 0 if problem.skip is None else problem.skip
        self.has_skip = int(problem.skip is not None)
        self.alive += [target, problem.class_weight]

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


def _scratch_elements(classes: int) -> int:
    """Two blocks, a reference per block and two rows of ``loss_last``."""
    return 4 * 512 + classes // 512 + 3 * 64 + 2 * classes


def _loss(call: _Scored, stats: Tensor | None, loss: Tensor | None, factor: float, row_factor: Tensor | None, tilt: bool) -> None:
    """Run the one-pass kernel."""
    kernel = entry("loss_last", call.dtype)
    size = _scratch_elements(call.classes)
    columns = Columns(call.weight, call.row_scale, 0 if row_factor is None else row_factor.data_ptr())
    numbers, flags = call.numbers(factor), call.flags(tilt)
    to_stats = 0 if stats is None else stats.data_ptr()
    to_loss = 0 if loss is None else loss.data_ptr()

    def work(first: int, last: int) -> int:
        return kernel(
            threads.scratch(size, call.dtype), call.grid(first, last), call.logits, call.target, call.out,
            to_stats, call.rows, to_loss, numbers, columns, flags,
        )  # fmt: skip

    call.refuse(call.share(work))


def row_stats(problem: RowProblem, *, tilt: bool = False) -> RowStats:
    """The statistics of each row in one read of the logits."""
    call = _Scored(problem, None)
    stats = torch.empty((4 + tilt, *problem.row_shape), dtype=call.dtype)
    _loss(call, stats, None, 1.0, None, tilt)
    return RowStats(*stats.unbind())


def row_loss_and_grad(problem: RowProblem, factor: Tensor, row_factor: Tensor | None, out: Tensor) -> Tensor:
    """Row losses, and ``factor * row_factor * d row / d logits`` in ``out`` (which may be the logits)."""
    call = _Scored(problem, out)
    loss = torch.empty(problem.row_shape, dtype=call.dtype)
    if row_factor is not None:
        row_factor = row_factor.to(call.dtype).contiguous()
    if out.data_ptr() == problem.logits.data_ptr():
        count_rows(problem, None)  # refuses targets before anything is overwritten
    _loss(call, None, loss, float(factor), row_factor, False)
    return loss


def row_grad(
    problem: RowProblem,
    stats: RowStats,
    coefficients: GradCoefficients,
    out: Tensor,
    *,
    want: RowGradWant = RowGradWant(),  # noqa: B008
) -> RowGrads:
    """The gradient in ``out`` from known statistics."""
    call = _Scored(problem, out)
    vectors = [v if v is None else v.to(call.dtype).contiguous() for v in (stats.max, stats.log_sum, *coefficients)]
    scale = torch.empty(problem.row_shape, dtype=call.dtype) if want.scale else None
    target = torch.empty(problem.target.shape, dtype=problem.target.dtype) if want.target else None
    given = Given(*(0 if v is None else v.data_ptr() for v in (*vectors, scale)))
    target_place = NOWHERE if target is None else place_of(target)
    kernel = entry("grad_last", call.dtype)
    columns, numbers, flags = Columns(call.weight, call.row_scale, 0), call.numbers(), call.flags()
    size = _scratch_elements(0)

    def work(first: int, last: int) -> int:
        return kernel(
            threads.scratch(size, call.dtype), call.grid(first, last), call.logits, call.target, call.out,
            target_place, given, numbers, columns, flags,
        )  # fmt: skip

    call.refuse(call.share(work))
    return RowGrads(scale, target)


def count_rows(problem: RowProblem, row_weight: Tensor | None) -> RowCount:
    """How many rows are read, and the sum of their shares."""
    target, dtype = problem.target, problem.compute_dtype
    if not problem.is_index:
        rows = problem.row_shape[0] * problem.row_shape[1]
        share = row_weight.to(dtype).sum() if row_weight is not None else torch.tensor(float(rows), dtype=dtype)
        return RowCount(torch.tensor(rows), share)
    read = torch.ones_like(target, dtype=torch.bool) if problem.skip is None else target != problem.skip
    bad = ((target < 0) | (target >= problem.classes)) & read
    if bad.any():
        row = int(bad.flatten().nonzero()[0])
        raise TargetOutOfRange(row, int(target.flatten()[row]))
    share = read.to(dtype)
    if problem.class_weight is not None:
        share = share * problem.class_weight[torch.where(read, target, 0)]
    if row_weight is not None:
        share = torch.where(read, share * row_weight, 0)
    return RowCount(read.sum(), share.sum())


def row_read(problem: RowProblem) -> RowReading:
    """Predicted class and rank of the target."""
    raise NotImplementedError


def log_softmax(rows: Rows, out: Tensor) -> None:
    raise NotImplementedError


def log_softmax_grad(
    rows: Rows, log_probs: Tensor, upstream: Tensor, out: Tensor, *, want_scale: bool = False
) -> Tensor | None:
    raise NotImplementedError
