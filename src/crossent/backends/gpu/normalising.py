"""log_softmax and its gradient. Bytes a row: V * (b + r) where it stays on chip, b of the logits and r of the result,
else up to V * (2b + r); the gradient V * (u + r + b) or V * (2u + r + b), u of the upstream gradient."""

from __future__ import annotations

import triton
import triton.language as tl

from crossent.backends.gpu.gradient import of_scale, put
from crossent.backends.gpu.rows import (
    CAPPED,
    NO_TARGET,
    body_of,
    edges,
    factor_of,
    from_boundary,
    lanes_of_program,
    log_of_sum,
    number,
    start_of,
    widened,
)
from crossent.backends.gpu.scanning import loaded, statistics_of, z_of
from crossent.backends.gpu.statistics import NUMBERS


@triton.jit(do_not_specialize=NUMBERS)
def log_softmax_kernel(
    logits, logits_outer, logits_class, logits_lane, out, out_outer, out_class, out_lane, row_scale,
    classes, lanes, by_outer, by_lane, scale, cap,
    MAP: tl.constexpr, WIDE: tl.constexpr, ROWS: tl.constexpr, KEPT: tl.constexpr, STEP: tl.constexpr,
    GROUP: tl.constexpr, EDGE: tl.constexpr, OUT_ALIGNED: tl.constexpr,
):  # fmt: skip
    """z - max - log_sum."""
    scale, cap = number(scale, WIDE), number(cap, WIDE)
    outer, lane, exists, where = lanes_of_program(lanes, by_outer, by_lane, ROWS)
    start = start_of(logits, outer, lane, logits_outer, logits_lane, ROWS)
    to = start_of(out, outer, lane, out_outer, out_lane, ROWS)
    head, body = body_of(start, classes, EDGE)
    start, to = (
        from_boundary(start, logits_class, head, EDGE, True),
        from_boundary(to, out_class, head, EDGE, OUT_ALIGNED),
    )
    factor = factor_of(scale, row_scale, where, exists)
    column = tl.arange(0, KEPT)[None, :]
    inside = exists[:, None] & (column < body)
    kept = loaded(start, logits_class, column, inside, "evict_first")
    known = statistics_of(
        kept, start, logits_class, start, 0, None, factor, where, where, exists,
        0, body, head, body, classes, 0.0, 0.0, cap,
        NO_TARGET, MAP, False, WIDE, ROWS, KEPT, STEP, GROUP, EDGE,
    )  # fmt: skip
    top, log_sum = known[0][:, None], log_of_sum(known)[:, None]
    put(to, out_class, column, z_of(kept, inside, factor, cap, MAP, WIDE) - top - log_sum, exists, inside, 1.0, 0)
    if STEP > 0:
        for step in range(KEPT, body, STEP):
            at = step + tl.arange(0, STEP)[None, :]
            there = exists[:, None] & (at < body)
            z = z_of(loaded(start, logits_class, at, there, "evict_first"), there, factor, cap, MAP, WIDE)
            put(to, out_class, at, z - top - log_sum, exists, there, 1.0, 0)
    if EDGE > 0:
        edge, has = edges(head, body, classes, EDGE)
        has = exists[:, None] & has
        ze = z_of(loaded(start, logits_class, edge, has, ""), has, factor, cap, MAP, WIDE)
        put(to, out_class, edge, ze - top - log_sum, exists, has, 1.0, 0)


@triton.jit
def back(
    g, total, logits, logits_class, log_probs, log_probs_class, out, out_class, column, inside, exists, factor, cap,
    MAP: tl.constexpr, WIDE: tl.constexpr, POLICY: tl.constexpr,
):  # fmt: skip
    """Write (g - softmax sum g) dz/dx of a tile; the sum of dz * x of each row where the logits were mapped."""
    log_p = widened(loaded(log_probs, log_probs_class, column, inside, POLICY), WIDE)
    dz = widened(g, WIDE) - tl.exp(log_p) * total[:, None]
    of_rows = tl.zeros_like(total)
    if MAP > 0:
        x = loaded(logits, logits_class, column, inside, POLICY)
        if MAP == CAPPED:
            z = z_of(x, inside, factor, cap, MAP, WIDE) / cap
            dz = dz * (1.0 - z * z)
        of_rows = of_scale(x, dz, inside, WIDE)
    put(out, out_class, column, dz, exists, inside, factor, MAP)
    return of_rows


@triton.jit(do_not_specialize=NUMBERS)
def log_softmax_gradient_kernel(
    logits, logits_outer, logits_class, logits_lane, log_probs, log_probs_outer, log_probs_class, log_probs_lane,
    upstream, upstream_outer, upstream_class, upstream_lane, out, out_outer, out_class, out_lane, row_scale, d_scale,
    classes, lanes, by_outer, by_lane, scale, cap,
    MAP: tl.constexpr, WIDE: tl.constexpr, ROWS: tl.constexpr, KEPT: tl.constexpr, STEP: tl.constexpr,
    EDGE: tl.constexpr, LOG_PROBS_ALIGNED: tl.constexpr, UPSTREAM_ALIGNED: tl.constexpr, OUT_ALIGNED: tl.constexpr,
):  # fmt: skip
    """g - softmax * sum_c g_c, through the map of z."""
    scale, cap = number(scale, WIDE), number(cap, WIDE)
    outer, lane, exists, where = lanes_of_program(lanes, by_outer, by_lane, ROWS)
    start = start_of(logits, outer, lane, logits_outer, logits_lane, ROWS)
    known = start_of(log_probs, outer, lane, log_probs_outer, log_probs_lane, ROWS)
    given = start_of(upstream, outer, lane, upstream_outer, upstream_lane, ROWS)
    to = start_of(out, outer, lane, out_outer, out_lane, ROWS)
    head, body = body_of(start, classes, EDGE)
    start, known = (
        from_boundary(start, logits_class, head, EDGE, True),
        from_boundary(known, log_probs_class, head, EDGE, LOG_PROBS_ALIGNED),
    )
    given = from_boundary(given, upstream_class, head, EDGE, UPSTREAM_ALIGNED)
    to = from_boundary(to, out_class, head, EDGE, OUT_ALIGNED)
    factor = factor_of(scale, row_scale, where, exists)
    column = tl.arange(0, KEPT)[None, :]
    inside = exists[:, None] & (column < body)
    kept = loaded(given, upstream_class, column, inside, "evict_first")
    total = tl.sum(widened(kept, WIDE), 1)
    if STEP > 0:
        running = tl.zeros((ROWS, STEP), total.dtype)
        for step in range(KEPT, body, STEP):
            at = step + tl.arange(0, STEP)[None, :]
            running += widened(loaded(given, upstream_class, at, exists[:, None] & (at < body), "evict_last"), WIDE)
        total += tl.sum(running, 1)
    if EDGE > 0:
        edge, has = edges(head, body, classes, EDGE)
        has = exists[:, None] & has
        ge = loaded(given, upstream_class, edge, has, "")
        total += tl.sum(widened(ge, WIDE), 1)
    of_rows = back(
        kept, total, start, logits_class, known, log_probs_class, to, out_class, column, inside, exists, factor, cap,
        MAP, WIDE, "evict_first",
    )  # fmt: skip
    if STEP > 0:
        for step in range(KEPT, body, STEP):
            at = step + tl.arange(0, STEP)[None, :]
            there = exists[:, None] & (at < body)
            of_rows += back(
                loaded(given, upstream_class, at, there, "evict_first"), total, start, logits_class,
                known, log_probs_class, to, out_class, at, there, exists, factor, cap, MAP, WIDE, "evict_first",
            )  # fmt: skip
    if EDGE > 0:
        of_rows += back(
            ge, total, start, logits_class, known, log_probs_class, to, out_class, edge, has, exists, factor, cap,
            MAP, WIDE, "",
        )  # fmt: skip
    if d_scale is not None:
        tl.store(d_scale + where, of_rows, exists)
