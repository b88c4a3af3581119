"""One read of rows: their statistics, tile by tile.

Bytes: V * b a row, b of the logits; + V * b of probabilities. Of a row, ``KEPT`` classes stay in registers, with the
caller; the others are read in steps, where every ``GROUP`` classes next to each other have statistics of their own, so
that no step waits for other threads (and no step needs a maximum of all); ``edges`` come last.
"""

from __future__ import annotations

import triton
import triton.language as tl

from crossent.backends.gpu.rows import (
    ONE_CLASS,
    SMOOTHED,
    SPELLED_OUT,
    edges,
    is_first_part,
    joined,
    mapped,
    merge,
    nothing,
    of_tile,
    shares,
    target_of,
    widened,
)


@triton.jit
def loaded(start, by_class, column, inside, POLICY: tl.constexpr):
    """Numbers of a tile as they are in memory, 0 where none are."""
    return tl.load(start + column.to(tl.int64) * by_class, inside, other=0.0, eviction_policy=POLICY)


@triton.jit
def z_of(x, inside, factor, cap, MAP: tl.constexpr, WIDE: tl.constexpr):
    """z of a tile in the compute dtype, -inf where there is no class."""
    return tl.where(inside, mapped(widened(x, WIDE), factor, cap, MAP, WIDE), float("-inf"))


@triton.jit
def share_of(target, read, weight, classes, on):
    """on * w of the target, NaN where there is no such class: it spoils the whole row. (ROWS,)"""
    exists = read & (target >= 0) & (target < classes)
    share = tl.where(exists, on, float("nan"))
    if weight is not None:
        share = share * tl.load(weight + target, exists, other=0.0)
    return share


@triton.jit
def z_of_target(logits, by_class, target, read, classes, factor, cap, MAP: tl.constexpr, WIDE: tl.constexpr):
    """z of the target, NaN where there is no such class. (ROWS,)"""
    exists = (read & (target >= 0) & (target < classes))[:, None]
    x = widened(tl.load(logits + target[:, None] * by_class, exists, other=0.0), WIDE)
    return tl.sum(tl.where(exists, mapped(x, factor, cap, MAP, WIDE), float("nan")), 1)  # of one column


@triton.jit
def statistics_of(
    kept, logits, by_class, target, target_by_class, weight, factor, z_target, share, read,
    first, last, head, body, classes, on, off, cap,
    Q: tl.constexpr, MAP: tl.constexpr, TILT: tl.constexpr, WIDE: tl.constexpr,
    ROWS: tl.constexpr, KEPT: tl.constexpr, STEP: tl.constexpr, GROUP: tl.constexpr, EDGE: tl.constexpr,
):  # fmt: skip
    """The statistics of classes ``first .. last`` of the body, and of what the first program has besides: edges and
    target. ``kept``: the first KEPT of them; ``logits`` and ``target`` (probabilities) start at the body."""
    DOT: tl.constexpr = Q == SMOOTHED or Q == SPELLED_OUT
    kind: tl.constexpr = tl.float64 if WIDE else tl.float32
    column = first + tl.arange(0, KEPT)[None, :]
    inside = read[:, None] & (column < last)
    z = z_of(kept, inside, factor, cap, MAP, WIDE)
    q = z
    if DOT:
        q = shares(target, weight, column, target_by_class, inside, on, off, Q, WIDE)
    known = of_tile(z, q, inside, DOT, TILT)
    if STEP > 0:
        groups: tl.constexpr = ROWS * STEP // GROUP
        running = nothing(kind, groups)
        for step in range(first + KEPT, last, STEP):
            at = step + tl.arange(0, STEP)[None, :]
            there = read[:, None] & (at < last)
            zs = z_of(loaded(logits, by_class, at, there, "evict_last"), there, factor, cap, MAP, WIDE)
            qs = zs
            if DOT:
                qs = shares(target, weight, at, target_by_class, there, on, off, Q, WIDE)
            shape: tl.constexpr = (groups, GROUP)
            tile = of_tile(tl.reshape(zs, shape), tl.reshape(qs, shape), tl.reshape(there, shape), DOT, TILT)
            running = merge(running, tile, DOT, TILT)
        known = merge(known, joined(running, ROWS, DOT, TILT), DOT, TILT)
    if EDGE > 0:
        edge, has = edges(head, body, classes, EDGE)
        has = (read & is_first_part(ROWS))[:, None] & has
        ze = z_of(loaded(logits, by_class, edge, has, ""), has, factor, cap, MAP, WIDE)
        qe = ze
        if DOT:
            qe = shares(target, weight, edge, target_by_class, has, on, off, Q, WIDE)
        known = merge(known, of_tile(ze, qe, has, DOT, TILT), DOT, TILT)
    if Q == ONE_CLASS or Q == SMOOTHED:
        own = target_of(z_target, share, read & is_first_part(ROWS))
        known = merge(known, own, True, TILT)
    return known


@triton.jit
def loss_of(known, log_sum, z_loss, upstream):
    """(row loss, soft, hard): ``stats.row_loss`` and ``stats.loss_coefficients``."""
    top, dot, mass = known[0], known[2], known[3]
    far = tl.where(dot == dot, tl.where(mass > 0.0, dot, -dot), 0.0)
    row, slope = tl.where(tl.abs(mass) == float("inf"), mass * (log_sum - far), mass * log_sum - dot), mass
    whole = top + log_sum
    row = tl.where(z_loss == 0.0, row, row + z_loss * whole * whole)
    slope = tl.where(z_loss == 0.0, slope, slope + 2.0 * z_loss * whole)
    return row, upstream * slope, upstream


@triton.jit
def upstream_of(factor, row_factor, where, exists):
    """factor * row_factor of each row: (ROWS,)."""
    up = tl.load(factor + tl.zeros_like(where))
    if row_factor is not None:
        up = up * tl.load(row_factor + where, exists, other=0.0)
    return up
