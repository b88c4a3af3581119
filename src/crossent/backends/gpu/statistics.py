"""Kernels that read rows and write numbers: statistics, their merge, predictions, counts."""

from __future__ import annotations

import triton
import triton.language as tl

from crossent.backends.gpu.rows import (
    SPELLED_OUT,
    body_of,
    edges,
    factor_of,
    from_boundary,
    joined,
    lanes_of_program,
    log_of_sum,
    number,
    start_of,
)
from crossent.backends.gpu.scanning import loaded, loss_of, share_of, statistics_of, upstream_of, z_of, z_of_target

# Arguments that change from call to call, or whose divisibility says nothing: they do not make a kernel of their own.
NUMBERS = ("lanes", "by_outer", "by_lane", "rows", "parts", "span", "on", "off", "scale", "cap", "z_loss", "skip")


@triton.jit(do_not_specialize=NUMBERS)
def statistics_kernel(
    logits, logits_outer, logits_class, logits_lane,
    target, target_outer, target_class, target_lane,
    weight, row_scale, result,
    classes, lanes, by_outer, by_lane, rows, span, on, off, scale, cap, skip,
    Q: tl.constexpr, MAP: tl.constexpr, TILT: tl.constexpr, WIDE: tl.constexpr,
    ROWS: tl.constexpr, KEPT: tl.constexpr, STEP: tl.constexpr, GROUP: tl.constexpr,
    EDGE: tl.constexpr, TARGET_ALIGNED: tl.constexpr, RAW: tl.constexpr,
):  # fmt: skip
    """``result[split, number, row]``: max, log_sum, dot, mass(, tilt); RAW: sum and tilt before the logarithm and the
    quotient, for :func:`merge_kernel`. One read: N * V * b bytes."""
    on, off, scale, cap = number(on, WIDE), number(off, WIDE), number(scale, WIDE), number(cap, WIDE)
    outer, lane, exists, where = lanes_of_program(lanes, by_outer, by_lane, ROWS)
    start = start_of(logits, outer, lane, logits_outer, logits_lane, ROWS)
    factor = factor_of(scale, row_scale, where, exists)
    read, z_target, share = exists, where, where
    other = start
    if Q < SPELLED_OUT:
        y = tl.load(target + outer * target_outer + lane.to(tl.int64) * target_lane, exists, other=0)
        read = exists & (y != skip)
        z_target = z_of_target(start, logits_class, y, read, classes, factor, cap, MAP, WIDE)
        share = share_of(y, read, weight, classes, on)
    else:
        other = start_of(target, outer, lane, target_outer, target_lane, ROWS)
    head, body = body_of(start, classes, EDGE)
    start = from_boundary(start, logits_class, head, EDGE, True)
    if Q == SPELLED_OUT:
        other = from_boundary(other, target_class, head, EDGE, TARGET_ALIGNED)
    moved = weight
    if weight is not None:
        moved = weight + head
    first = tl.program_id(1) * span
    last = tl.where(tl.max(read.to(tl.int32), 0) > 0, tl.minimum(first + span, body), first)
    column = first + tl.arange(0, KEPT)[None, :]
    kept = loaded(start, logits_class, column, read[:, None] & (column < last), "evict_first")
    known = statistics_of(
        kept, start, logits_class, other, target_class, moved, factor, z_target, share, read,
        first, last, head, body, classes, on, off, cap,
        Q, MAP, TILT, WIDE, ROWS, KEPT, STEP, GROUP, EDGE,
    )  # fmt: skip
    to = result + tl.program_id(1).to(tl.int64) * rows * (4 + TILT) + where
    if RAW:
        write_raw(to, rows, known, exists, TILT)
    else:
        write_finished(to, rows, known, read, exists, TILT)


@triton.jit
def write_raw(to, rows, known, exists, TILT: tl.constexpr):
    for index in tl.static_range(4 + TILT):
        tl.store(to + index * rows, known[index], exists)


@triton.jit
def write_finished(to, rows, known, read, exists, TILT: tl.constexpr):
    """max, log_sum, dot, mass(, tilt); zeros where a row is not read."""
    log_sum = log_of_sum(known)
    tl.store(to, tl.where(read, known[0], 0.0), exists)
    tl.store(to + rows, tl.where(read, log_sum, 0.0), exists)
    tl.store(to + 2 * rows, tl.where(read, known[2], 0.0), exists)
    tl.store(to + 3 * rows, tl.where(read, known[3], 0.0), exists)
    if TILT:
        tl.store(to + 4 * rows, tl.where(read, known[4] / known[1], 0.0), exists)


@triton.jit(do_not_specialize=NUMBERS)
def merge_kernel(
    raw, result, target, target_outer, target_lane, factor, row_factor,
    lanes, by_outer, by_lane, rows, parts, skip, z_loss,
    INDEX: tl.constexpr, TILT: tl.constexpr, WIDE: tl.constexpr, ROWS: tl.constexpr, PARTS: tl.constexpr,
):  # fmt: skip
    """The statistics of rows whose classes were split: ``raw[part, number, row]`` to ``result[number, row]``, or, given
    a factor, to max, log_sum, soft, hard and the row loss. The order of the parts is fixed: no atomics."""
    outer, lane, exists, where = lanes_of_program(lanes, by_outer, by_lane, ROWS)
    read = exists
    if INDEX:
        read = exists & (tl.load(target + outer * target_outer + lane.to(tl.int64) * target_lane, exists) != skip)
    part = tl.arange(0, PARTS)[None, :]
    there = exists[:, None] & (part < parts)
    at = raw + part.to(tl.int64) * rows * (4 + TILT) + where[:, None]
    top = tl.load(at, there, other=float("-inf"))
    sum, dot = tl.load(at + rows, there, other=0.0), tl.load(at + 2 * rows, there, other=0.0)
    mass = tl.load(at + 3 * rows, there, other=0.0)
    tilt = dot
    if TILT:
        tilt = tl.load(at + 4 * rows, there, other=0.0)
    known = joined((top, sum, dot, mass, tilt), ROWS, True, TILT)
    to = result + where
    if factor is None:
        write_finished(to, rows, known, read, exists, TILT)
    else:
        log_sum = log_of_sum(known)
        row, soft, hard = loss_of(known, log_sum, number(z_loss, WIDE), upstream_of(factor, row_factor, where, exists))
        tl.store(to, known[0], exists)
        tl.store(to + rows, log_sum, exists)
        tl.store(to + 2 * rows, soft, exists)
        tl.store(to + 3 * rows, hard, exists)
        tl.store(to + 4 * rows, tl.where(read, row, 0.0), exists)


@triton.jit(do_not_specialize=NUMBERS)
def reading_kernel(
    logits, logits_outer, logits_class, logits_lane, target, target_outer, target_lane, row_scale, predicted, rank,
    classes, lanes, by_outer, by_lane, scale, cap, skip,
    INDEX: tl.constexpr, MAP: tl.constexpr, WIDE: tl.constexpr,
    ROWS: tl.constexpr, STEP: tl.constexpr, EDGE: tl.constexpr,
):  # fmt: skip
    """The first class of the largest z (NaN is the largest), and how many are above the target's. One read."""
    scale, cap = number(scale, WIDE), number(cap, WIDE)
    outer, lane, exists, where = lanes_of_program(lanes, by_outer, by_lane, ROWS)
    start = start_of(logits, outer, lane, logits_outer, logits_lane, ROWS)
    factor = factor_of(scale, row_scale, where, exists)
    read = exists
    own = tl.zeros((ROWS,), tl.float64 if WIDE else tl.float32)
    if INDEX:
        y = tl.load(target + outer * target_outer + lane.to(tl.int64) * target_lane, exists, other=0)
        read = exists & (y != skip)
        own = z_of_target(start, logits_class, y, read, classes, factor, cap, MAP, WIDE)
    head, body = body_of(start, classes, EDGE)
    start = from_boundary(start, logits_class, head, EDGE, True)
    last = tl.where(tl.max(read.to(tl.int32), 0) > 0, body, 0)
    best = tl.full((ROWS, STEP), float("-inf"), own.dtype)
    column = tl.full((ROWS, STEP), 2147483647, tl.int32)
    above = tl.zeros((ROWS, STEP), tl.int32)
    for first in range(0, last, STEP):
        at = first + tl.arange(0, STEP)[None, :]
        inside = read[:, None] & (at < last)
        z = z_of(loaded(start, logits_class, at, inside, "evict_first"), inside, factor, cap, MAP, WIDE)
        better = inside & (is_above(z, best) | (column == 2147483647))
        best, column = tl.where(better, z, best), tl.where(better, at, column)
        above += (inside & (z > own[:, None])).to(tl.int32)
    top, at_top, count = first_best(best, column, above)
    if EDGE > 0:
        at, has = edges(head, body, classes, EDGE)
        has = read[:, None] & has
        z = z_of(loaded(start, logits_class, at, has, ""), has, factor, cap, MAP, WIDE)
        edge = first_best(z, tl.where(has, at, 2147483647), (has & (z > own[:, None])).to(tl.int32))
        best_edge = is_above(edge[0], top) | ((edge[0] == top) & (edge[1] < at_top))
        best_edge = best_edge | ((edge[0] != edge[0]) & (top != top) & (edge[1] < at_top))
        at_top, count = tl.where(best_edge, edge[1], at_top), count + edge[2]
    tl.store(predicted + where, tl.where(read, (at_top + head).to(tl.int64), -1), exists)
    count = tl.where(read, count.to(tl.int64), -1) if INDEX else count.to(tl.int64) * 0 - 1
    tl.store(rank + where, count, exists)


@triton.jit
def is_above(z, best):
    """Whether z is larger; NaN is larger than every number."""
    return (z > best) | ((z != z) & (best == best))


@triton.jit
def first_best(z, column, above):
    """Of each row: the largest number, its first column, and the sum of ``above``."""
    is_nan = z != z
    nan = tl.max(is_nan.to(tl.int32), 1) > 0
    top = tl.max(tl.where(is_nan, float("-inf"), z), 1)
    candidate = tl.where(nan[:, None], is_nan, z == top[:, None])
    at = tl.min(tl.where(candidate, column, 2147483647), 1)
    return tl.where(nan, float("nan"), top), at, tl.sum(above, 1)


@triton.jit(do_not_specialize=NUMBERS)
def counting_kernel(
    target, target_outer, target_lane, weight, row_weight, count, share, classes, lanes, by_outer, by_lane, skip,
    WIDE: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """``count[program]`` rows that are read and ``share[program]``, the sum of their row_weight * weight of the target.
    8 bytes a row, and as many of the row weights."""
    outer, lane, exists, where = lanes_of_program(lanes, by_outer, by_lane, ROWS)
    y = tl.load(target + outer * target_outer + lane.to(tl.int64) * target_lane, exists, other=0)
    read = exists & (y != skip)
    own = read.to(tl.float64 if WIDE else tl.float32)
    if weight is not None:
        own = tl.load(weight + y, read & (y >= 0) & (y < classes), other=0.0)
    if row_weight is not None:
        own = own * tl.load(row_weight + where, read, other=0.0)
    tl.store(count + tl.program_id(0), tl.sum(read.to(tl.int64), 0))
    tl.store(share + tl.program_id(0), tl.sum(own, 0))
