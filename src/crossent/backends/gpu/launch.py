"""From tensors to kernels: places, tiles, memory. No arithmetic on rows, and nothing that waits for the device."""

from __future__ import annotations

import torch
from torch import Tensor

from crossent.backends import normalised
from crossent.backends.gpu import tuning
from crossent.backends.gpu.call import NO_SKIP, Call, Scored, check_targets, lanes_of, processors, start, strides_of
from crossent.backends.gpu.layout import arrange
from crossent.backends.gpu.tuning import Tile
from crossent.backends.protocol import (
    RowCount,
    RowGrads,
    RowGradWant,
    RowProblem,
    RowReading,
    Rows,
)
from crossent.stats import GradCoefficients, RowStats

MULTIPLY_BLOCK, COUNT_ROWS, MERGE_ROWS = 4096, 1024, 16


# ---- statistics ---------------------------------------------------------------------------------


def row_stats(problem: RowProblem, *, tilt: bool = False) -> RowStats:
    """The statistics of each row in one read of the logits."""
    if problem.normalised:
        check_targets(problem)
        dot, mass = normalised.row_sums(problem)
        zero = torch.zeros_like(dot)
        return RowStats(zero, zero, dot, mass, zero if tilt else None)
    call = Scored(problem)
    if not call.classes or not call.count:
        return RowStats(*call.per_row(4 + tilt).zero_().unbind())
    tile = call.tile(share=True, more=tilt)
    result = call.per_row(4 + tilt)
    raw = call.per_row(tile.parts, 4 + tilt) if tile.parts > 1 else None
    _statistics(call, tile, result if raw is None else raw, tilt)
    if raw is not None:
        _merge(call, tile, raw, result, tilt)
    return RowStats(*result.unbind())


def _statistics(call: Scored, tile: Tile, result: Tensor, tilt: bool) -> None:
    arguments = call.scored(tile) | {
        "result": result,
        "rows": call.count,
        "span": tile.span,
        "TILT": tilt,
        "KEPT": tile.kept,
        "STEP": tile.step,
        "GROUP": tile.group,
        "RAW": tile.parts > 1,
    }
    call.start("statistics", "statistics_kernel", tile, arguments)


def _merge(
    call: Scored,
    tile: Tile,
    raw: Tensor,
    result: Tensor,
    tilt: bool,
    factor: Tensor | None = None,
    row_factor: Tensor | None = None,
) -> None:
    arguments = {
        "raw": raw,
        "result": result,
        "factor": factor,
        "row_factor": row_factor,
        "rows": call.count,
        "parts": tile.parts,
        "INDEX": call.problem.is_index,
        "TILT": tilt,
        "WIDE": call.wide,
        "ROWS": MERGE_ROWS,
        "PARTS": tuning.power_of_two(tile.parts),
        **lanes_of(call.lanes),
        **call.target_rows(),
        **call.words(z_loss=call.problem.z_loss),
    }
    own = Tile(MERGE_ROWS, 0, 0, 0, 0, warps=1)
    call.start("statistics", "merge_kernel", own, arguments)


def row_read(problem: RowProblem) -> RowReading:
    """Predicted class and rank of the target in one read of the logits."""
    call = Scored(problem)
    predicted, rank = torch.empty((2, *problem.row_shape), dtype=torch.int64, device=call.device).unbind()
    if call.count:
        tile = call.tile(share=False, more=1)  # the best class and its number so far
        arguments = call.common(tile) | call.target_rows()
        arguments |= {"predicted": predicted, "rank": rank, "INDEX": problem.is_index, "STEP": tile.half}
        call.start("statistics", "reading_kernel", tile, arguments)
    return RowReading(predicted, rank)


def count_rows(problem: RowProblem, row_weight: Tensor | None) -> RowCount:
    """How many rows are read, and the sum of their shares: 8 bytes a row, and as many of the row weights."""
    check_targets(problem)
    outer, inner = problem.row_shape
    dtype, device = problem.compute_dtype, problem.logits.device
    rows = torch.full((), outer * inner, dtype=torch.int64, device=device)
    if not problem.is_index:
        share = rows.to(dtype) if row_weight is None else row_weight.to(dtype).sum()
        return RowCount(rows, share)
    lanes = arrange(outer, inner, problem.target)
    tile = Tile(COUNT_ROWS, 0, 0, 0, 0, warps=4)
    programs = tuning.programs_of(lanes, tile)
    count = torch.empty((programs,), dtype=torch.int64, device=device)
    share = torch.empty((programs,), dtype=dtype, device=device)
    if programs:
        arguments = strides_of("target", lanes.places[0]) | {
            "weight": problem.class_weight,
            "row_weight": None if row_weight is None else row_weight.to(dtype).contiguous(),
            "count": count,
            "share": share,
            "classes": problem.classes,
            "skip": NO_SKIP if problem.skip is None else problem.skip,
            "WIDE": dtype == torch.float64,
            "ROWS": COUNT_ROWS,
            **lanes_of(lanes),
        }
        del arguments["target_class"]
        start("statistics", "counting_kernel", (programs,), tile.warps, arguments, device)
    if programs == 1:
        return RowCount(count[0], share[0])
    return RowCount(count.sum(), share.sum())


# ---- gradients ----------------------------------------------------------------------------------


def row_loss_and_grad(problem: RowProblem, factor: Tensor, row_factor: Tensor | None, out: Tensor) -> Tensor:
    """Row losses, and ``factor * row_factor * d row / d logits`` in ``out`` (which may be the logits)."""
    if problem.normalised:
        numbers = row_stats(problem)
        upstream = factor.expand_as(numbers.dot) if row_factor is None else factor * row_factor
        normalised.gradient(problem, upstream, out)
        return -numbers.dot
    call = Scored(problem, out)
    if not call.classes or not call.count:
        return call.per_row().zero_()
    factor = factor.to(call.dtype)
    row_factor = None if row_factor is None else row_factor.to(call.dtype).contiguous()
    tile = call.tile(share=True)
    if tile.parts > 1:
        return _loss_and_grad_of_shared_rows(call, tile, factor, row_factor, out)
    loss = call.per_row()
    arguments = call.scored(tile) | strides_of("out", call.place(out))
    arguments |= {
        "factor": factor,
        "row_factor": row_factor,
        "loss": loss,
        "KEPT": tile.kept,
        "STEP": tile.step,
        "GROUP": tile.group,
        "OUT_ALIGNED": call.aligned(out, tile),
        **call.words(z_loss=problem.z_loss),
    }
    call.start("gradient", "loss_and_gradient_kernel", tile, arguments)
    return loss


def _loss_and_grad_of_shared_rows(
    call: Scored, tile: Tile, factor: Tensor, row_factor: Tensor | None, out: Tensor
) -> Tensor:
    """Few rows: statistics of parts, their merge, the gradient. The second read finds the logits in L2."""
    raw, numbers = call.per_row(tile.parts, 4), call.per_row(5)
    _statistics(call, tile, raw, False)
    _merge(call, tile, raw, numbers, False, factor, row_factor)
    top, log_sum, soft, hard, loss = numbers.unbind()
    _gradient(call, tile, (top, log_sum, soft, hard, None), out, None, None)
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
    if problem.normalised:
        check_targets(problem)
        scale = normalised.gradient(problem, coefficients.hard, out)
        d_target = normalised.target_gradient(problem, coefficients.hard) if want.target else None
        return RowGrads(scale if want.scale else None, d_target)
    d_target = None
    if want.target:
        d_target = torch.empty(problem.target.shape, dtype=problem.target.dtype, device=problem.target.device)
    call = Scored(problem, out, d_target)
    if not call.classes or not call.count:
        return RowGrads(call.per_row().zero_() if want.scale else None, d_target)
    tile = call.tile(share=True)
    given = (stats.max, stats.log_sum, coefficients.soft, coefficients.hard, coefficients.bend)
    vectors = tuple(None if vector is None else vector.to(call.dtype).contiguous() for vector in given)
    scale = call.per_row(tile.parts) if want.scale else None
    _gradient(call, tile, vectors, out, d_target, scale)
    if scale is None:
        return RowGrads(None, d_target)
    return RowGrads(scale[0] if tile.parts == 1 else scale.sum(0), d_target)


def _gradient(
    call: Scored,
    tile: Tile,
    vectors: tuple[Tensor | None, ...],
    out: Tensor,
    d_target: Tensor | None,
    d_scale: Tensor | None,
) -> None:
    arguments = call.scored(tile) | strides_of("out", call.place(out)) | strides_of("d_target", call.place(d_target))
    arguments |= dict(zip(("top", "log_sum", "soft", "hard", "bend"), vectors, strict=True))
    arguments |= {
        "d_scale": d_scale,
        "rows": call.count,
        "span": tile.span,
        "STEP": tile.half,
        "OUT_ALIGNED": call.aligned(out, tile),
        "D_TARGET_ALIGNED": call.aligned(d_target, tile),
    }
    call.start("gradient", "gradient_kernel", tile, arguments)


def multiply(gradient: Tensor, factor: Tensor) -> None:
    """gradient *= factor, decided on the device: nothing is read or written where the factor is 1."""
    if not gradient.is_contiguous():
        gradient.copy_(torch.where(gradient == 0, gradient, gradient * factor.to(gradient.dtype)))
    elif gradient.numel():
        blocks = -(-gradient.numel() // MULTIPLY_BLOCK)
        grid = (min(blocks, 4 * processors(gradient.device)),)
        arguments = {"numbers": gradient, "factor": factor, "count": gradient.numel(), "BLOCK": MULTIPLY_BLOCK}
        start("gradient", "multiply_kernel", grid, 8, arguments, gradient.device)


# ---- log_softmax --------------------------------------------------------------------------------


def log_softmax(rows: Rows, out: Tensor) -> None:
    """out = z - max - log sum exp(z - max)."""
    call = Call(rows, out)
    if not call.classes or not call.count:
        return
    tile = call.tile(share=False)
    arguments = call.common(tile) | strides_of("out", call.place(out))
    arguments |= {"KEPT": tile.kept, "STEP": tile.step, "GROUP": tile.group, "OUT_ALIGNED": call.aligned(out, tile)}
    call.start("normalising", "log_softmax_kernel", tile, arguments)


def log_softmax_grad(
    rows: Rows, log_probs: Tensor, upstream: Tensor, out: Tensor, *, want_scale: bool = False
) -> Tensor | None:
    """out = (g - softmax sum_c g_c) dz/dx; on request the gradient to logit_scale per row."""
    call = Call(rows, log_probs, upstream, out)
    d_scale = call.per_row().zero_() if want_scale else None
    if not call.classes or not call.count:
        return d_scale
    tile = call.tile(share=False, more=int(call.map != 0))  # the logits beside log_probs and upstream
    arguments = call.common(tile) | {"d_scale": d_scale, "KEPT": tile.kept, "STEP": tile.step}
    for name, tensor in zip(("log_probs", "upstream", "out"), call.others, strict=True):
        arguments |= strides_of(name, call.place(tensor)) | {f"{name.upper()}_ALIGNED": call.aligned(tensor, tile)}
    call.start("normalising", "log_softmax_gradient_kernel", tile, arguments)
    return d_scale
