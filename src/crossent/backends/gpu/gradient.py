"""Kernels that write gradients: from known statistics, or with the statistics in one pass.

Bytes a row, b of the logits: from statistics V * 2b (a read, a write). In one pass V * 2b where the row stays on chip:
its first ``KEPT`` classes in registers, the others in L1 or L2 until they are read again (evict_last at the first
read, evict_first at the second and at every write), else up to V * 3b. + V * pb of probabilities, twice at most.
"""

from __future__ import annotations

import triton
import triton.language as tl

from crossent.backends.gpu.rows import (
    CAPPED,
    ONE_CLASS,
    SMOOTHED,
    SPELLED_OUT,
    body_of,
    edges,
    factor_of,
    from_boundary,
    is_first_part,
    lanes_of_program,
    log_of_sum,
    number,
    shares,
    start_of,
    widened,
)
from crossent.backends.gpu.scanning import loaded, loss_of, share_of, statistics_of, upstream_of, z_of, z_of_target
from crossent.backends.gpu.statistics import NUMBERS


@triton.jit
def gradient_of_tile(
    x, target, target_by_class, weight, y, share, column, inside, factor, cap, on, off, top, log_sum, soft, hard, bend,
    Q: tl.constexpr, MAP: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """(d/d logits, z, d z): softmax * (soft + bend (z - max)) - hard * q, through the map. ``y``: the target counted
    from the same class as ``column``; ``share``: on * w of the target."""
    x = widened(x, WIDE)
    z = z_of(x, inside, factor, cap, MAP, WIDE)
    far = z - top[:, None]
    e = tl.exp(far)
    each = (soft * tl.exp(-log_sum))[:, None]
    if bend is not None:
        each = each + (bend * tl.exp(-log_sum))[:, None] * tl.where(z == float("-inf"), 0.0, far)
    dz = e * each
    if Q == SMOOTHED or Q == SPELLED_OUT:
        dz = dz - hard[:, None] * shares(target, weight, column, target_by_class, inside, on, off, Q, WIDE)
    if Q == ONE_CLASS or Q == SMOOTHED:
        dz = tl.where(column == y[:, None], dz - (hard * share)[:, None], dz)
    if MAP == CAPPED:
        dz = dz * (1.0 - (z / cap) * (z / cap))
    return dz, far - log_sum[:, None]


@triton.jit
def put(out, by_class, column, dz, read, inside, factor, MAP: tl.constexpr):
    """Write d/d logits, zeros where a row is not read."""
    if MAP > 0:
        dz = dz * factor
    tl.store(
        out + column.to(tl.int64) * by_class, tl.where(read[:, None], dz, 0.0).to(out.dtype.element_ty), inside,
        eviction_policy="evict_first",
    )  # fmt: skip


@triton.jit(do_not_specialize=NUMBERS)
def gradient_kernel(
    logits, logits_outer, logits_class, logits_lane, out, out_outer, out_class, out_lane,
    target, target_outer, target_class, target_lane, d_target, d_target_outer, d_target_class, d_target_lane,
    weight, row_scale, top, log_sum, soft, hard, bend, d_scale,
    classes, lanes, by_outer, by_lane, rows, span, on, off, scale, cap, skip,
    Q: tl.constexpr, MAP: tl.constexpr, WIDE: tl.constexpr, ROWS: tl.constexpr, STEP: tl.constexpr,
    EDGE: tl.constexpr, OUT_ALIGNED: tl.constexpr, TARGET_ALIGNED: tl.constexpr, D_TARGET_ALIGNED: tl.constexpr,
):  # fmt: skip
    """The gradient from statistics and coefficients. Programs share the classes of a row (``span``), and nothing
    else: ``d_scale[part, row]`` are added up by the caller. N * V * 2b bytes."""
    on, off, scale, cap = number(on, WIDE), number(off, WIDE), number(scale, WIDE), number(cap, WIDE)
    outer, lane, exists, where = lanes_of_program(lanes, by_outer, by_lane, ROWS)
    start = start_of(logits, outer, lane, logits_outer, logits_lane, ROWS)
    to = start_of(out, outer, lane, out_outer, out_lane, ROWS)
    head, body = body_of(start, classes, EDGE)
    start, to = (
        from_boundary(start, logits_class, head, EDGE, True),
        from_boundary(to, out_class, head, EDGE, OUT_ALIGNED),
    )
    factor = factor_of(scale, row_scale, where, exists)
    read, y, share, other, d_other = exists, where, on, start, to
    if Q == SPELLED_OUT:
        other = start_of(target, outer, lane, target_outer, target_lane, ROWS)
        other = from_boundary(other, target_class, head, EDGE, TARGET_ALIGNED)
        if d_target is not None:
            d_other = start_of(d_target, outer, lane, d_target_outer, d_target_lane, ROWS)
            d_other = from_boundary(d_other, d_target_class, head, EDGE, D_TARGET_ALIGNED)
    else:
        y = tl.load(target + outer * target_outer + lane.to(tl.int64) * target_lane, exists, other=0)
        read = exists & (y != skip)
        share = share_of(y, read, weight, classes, on)
        y = y - head
    moved = weight
    if weight is not None:
        moved = weight + head
    top, log_sum = tl.load(top + where, read, other=0.0), tl.load(log_sum + where, read, other=0.0)
    soft, hard = tl.load(soft + where, read, other=0.0), tl.load(hard + where, read, other=0.0)
    if bend is not None:
        bend = tl.load(bend + where, read, other=0.0)
    total = tl.zeros_like(top)
    first = tl.program_id(1) * span
    last = tl.minimum(first + span, body)
    for step in range(first, last, STEP):
        column = step + tl.arange(0, STEP)[None, :]
        inside = exists[:, None] & (column < last)
        there = inside & read[:, None]
        x = loaded(start, logits_class, column, there, "evict_first")
        dz, log_p = gradient_of_tile(
            x, other, target_class, moved, y, share, column, there, factor, cap, on, off, top, log_sum, soft, hard,
            bend, Q, MAP, WIDE,
        )  # fmt: skip
        put(to, out_class, column, dz, read, inside, factor, MAP)
        if d_scale is not None:
            total += of_scale(x, dz, there, WIDE)
        if d_target is not None:
            put_target(d_other, d_target_class, moved, column, hard, on, log_p, inside)
    if EDGE > 0:
        edge, has = edges(head, body, classes, EDGE)
        has = (exists & is_first_part(ROWS))[:, None] & has
        present = has & read[:, None]
        xe = loaded(start, logits_class, edge, present, "")
        de, log_e = gradient_of_tile(
            xe, other, target_class, moved, y, share, edge, present, factor, cap, on, off, top, log_sum, soft, hard,
            bend, Q, MAP, WIDE,
        )  # fmt: skip
        put(to, out_class, edge, de, read, has, factor, MAP)
        if d_scale is not None:
            total += of_scale(xe, de, present, WIDE)
        if d_target is not None:
            put_target(d_other, d_target_class, moved, edge, hard, on, log_e, has)
    if d_scale is not None:
        tl.store(d_scale + tl.program_id(1).to(tl.int64) * rows + where, total, exists)


@triton.jit
def of_scale(x, dz, inside, WIDE: tl.constexpr):
    """sum_c dz_c x_c of each row, without infinite x."""
    x = widened(x, WIDE)
    return tl.sum(tl.where(inside & (tl.abs(x) != float("inf")), dz * x, 0.0), 1)


@triton.jit
def put_target(out, by_class, weight, column, hard, on, log_p, inside):
    """-hard * on * w_c * log softmax_c: the gradient to probabilities."""
    d = -(hard * on)[:, None] * log_p
    if weight is not None:
        d = d * tl.load(weight + column, inside, other=0.0)
    tl.store(out + column.to(tl.int64) * by_class, d.to(out.dtype.element_ty), inside, eviction_policy="evict_first")


@triton.jit(do_not_specialize=NUMBERS)
def loss_and_gradient_kernel(
    logits, logits_outer, logits_class, logits_lane, out, out_outer, out_class, out_lane,
    target, target_outer, target_class, target_lane, weight, row_scale, factor, row_factor, loss,
    classes, lanes, by_outer, by_lane, on, off, scale, cap, skip, z_loss,
    Q: tl.constexpr, MAP: tl.constexpr, WIDE: tl.constexpr, ROWS: tl.constexpr, KEPT: tl.constexpr,
    STEP: tl.constexpr, GROUP: tl.constexpr, EDGE: tl.constexpr, OUT_ALIGNED: tl.constexpr,
    TARGET_ALIGNED: tl.constexpr,
):  # fmt: skip
    """Row losses, and factor * row_factor * d row / d logits. ``out`` may be the logits: a class is read for the last
    time by the thread that then writes it, the target's before the maximum is known to all."""
    on, off, scale, cap = number(on, WIDE), number(off, WIDE), number(scale, WIDE), number(cap, WIDE)
    outer, lane, exists, where = lanes_of_program(lanes, by_outer, by_lane, ROWS)
    start = start_of(logits, outer, lane, logits_outer, logits_lane, ROWS)
    to = start_of(out, outer, lane, out_outer, out_lane, ROWS)
    times = factor_of(scale, row_scale, where, exists)
    read, y, share, other, z_target = exists, where, where, start, where
    if Q == SPELLED_OUT:
        other = start_of(target, outer, lane, target_outer, target_lane, ROWS)
    else:
        y = tl.load(target + outer * target_outer + lane.to(tl.int64) * target_lane, exists, other=0)
        read = exists & (y != skip)
        z_target = z_of_target(start, logits_class, y, read, classes, times, cap, MAP, WIDE)
        share = share_of(y, read, weight, classes, on)
    head, body = body_of(start, classes, EDGE)
    start, to = (
        from_boundary(start, logits_class, head, EDGE, True),
        from_boundary(to, out_class, head, EDGE, OUT_ALIGNED),
    )
    moved = weight
    if weight is not None:
        moved = weight + head
    if Q == SPELLED_OUT:
        other = from_boundary(other, target_class, head, EDGE, TARGET_ALIGNED)
    else:
        y = y - head
    column = tl.arange(0, KEPT)[None, :]
    kept = loaded(start, logits_class, column, read[:, None] & (column < body), "evict_first")
    end = tl.where(tl.max(read.to(tl.int32), 0) > 0, body, 0)
    known = statistics_of(
        kept, start, logits_class, other, target_class, moved, times, z_target, share, read,
        0, end, head, body, classes, on, off, cap,
        Q, MAP, False, WIDE, ROWS, KEPT, STEP, GROUP, EDGE,
    )  # fmt: skip
    top, log_sum = known[0], log_of_sum(known)
    row, soft, hard = loss_of(known, log_sum, number(z_loss, WIDE), upstream_of(factor, row_factor, where, exists))
    tl.store(loss + where, tl.where(read, row, 0.0), exists)
    inside = exists[:, None] & (column < body)
    dz, _ = gradient_of_tile(
        kept, other, target_class, moved, y, share, column, inside & read[:, None], times, cap, on, off, top, log_sum,
        soft, hard, None, Q, MAP, WIDE,
    )  # fmt: skip
    put(to, out_class, column, dz, read, inside, times, MAP)
    if STEP > 0:
        for step in range(KEPT, body, STEP):
            at = step + tl.arange(0, STEP)[None, :]
            within = exists[:, None] & (at < body)
            there = within & read[:, None]
            ds, _ = gradient_of_tile(
                loaded(start, logits_class, at, there, "evict_first"), other, target_class, moved, y, share, at, there,
                times, cap, on, off, top, log_sum, soft, hard, None, Q, MAP, WIDE,
            )  # fmt: skip
            put(to, out_class, at, ds, read, within, times, MAP)
    if EDGE > 0:
        edge, has = edges(head, body, classes, EDGE)
        has = exists[:, None] & has
        present = has & read[:, None]
        de, _ = gradient_of_tile(
            loaded(start, logits_class, edge, present, ""), other, target_class, moved, y, share, edge, present,
            times, cap, on, off, top, log_sum, soft, hard, None, Q, MAP, WIDE,
        )  # fmt: skip
        put(to, out_class, edge, de, read, has, times, MAP)


@triton.jit
def multiply_kernel(numbers, factor, count, BLOCK: tl.constexpr):
    """numbers *= factor, where they are not 0 (rows that are not read stay 0 whatever the factor is). Nothing is read
    or written where the factor is 1; few programs, so that this costs a launch only. Else count * 2b bytes."""
    times = tl.load(factor)
    if times != 1.0:
        for first in range(tl.program_id(0).to(tl.int64) * BLOCK, count, tl.num_programs(0) * BLOCK):
            at = first + tl.arange(0, BLOCK)
            x = tl.load(numbers + at, at < count, other=0.0)
            if x.dtype == tl.float64:
                product = x * times.to(tl.float64)
            else:
                product = x.to(tl.float32) * times.to(tl.float32)
            tl.store(numbers + at, tl.where(x == 0.0, x, product.to(x.dtype)), at < count)
