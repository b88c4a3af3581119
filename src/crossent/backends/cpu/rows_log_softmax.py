"""Kernels of log_softmax and its gradient, for both orders of rows: see ``rows_last.py`` and ``rows_inner.py``."""

from __future__ import annotations

import numpy as np
from numba import njit

from crossent.backends.cpu.blocks import (
    KERNEL,
    affine,
    combine,
    dot_finite,
    exp_from,
    fill,
    load,
    store,
    sum_exp,
    sum_of,
    times_slope,
)
from crossent.backends.cpu.elementary import exp, log, number
from crossent.backends.cpu.lanes import (
    add_to,
    exp_totals,
    fetch,
    flush,
    log_lanes,
    log_probs_of,
    pull,
    raise_tops,
    reference,
    slope_lanes,
    times,
    to_scale,
)
from crossent.backends.cpu.layout import BLOCK
from crossent.backends.cpu.places import (
    grid_of,
    item_bytes,
    max_of,
    of_row,
    padded,
    place,
    settings,
    start_of,
)
from crossent.backends.cpu.pointers import pointer_at
from crossent.backends.cpu.rows_inner import BLOCK as LANES_BLOCK
from crossent.backends.cpu.rows_inner import (
    KEEP,
    LOG_SUM,
    PART_SUM,
    PART_TERMS,
    REF,
    SCALE,
    SOFT,
    TO_SCALE,
    TOP,
    TOTAL,
    VECTORS,
    Z,
    lane_vector,
    load_class,
    write_vector,
)
from crossent.backends.cpu.rows_last import AHEAD, load_z


@njit(**KERNEL)
def log_softmax_last(scratch, a, first, last):
    """out = (z - max) - log_sum; z of a row stays in scratch between the two passes."""
    numbers, columns, flags = settings(a, 15)
    grid, logits, out = grid_of(a, first, last), place(a, 5), place(a, 10)
    classes, softcap = grid.classes, number(scratch, numbers.softcap)
    z_row = scratch + 3 * BLOCK
    for position in range(grid.first, grid.last):
        o, i = position // grid.inner, position % grid.inner
        scale = of_row(scratch, columns.row_scale, o * grid.row_outer + i * grid.row_inner, numbers.scale)
        start, size = start_of(logits, o, i), item_bytes(out.kind) * out.across
        item = item_bytes(logits.kind)
        step = item if logits.across == 1 else 0
        top, ref, total = number(scratch, -np.inf), number(scratch, 0.0), 0.0
        for b in range(0, classes, BLOCK):
            n = min(BLOCK, classes - b)
            top = max_of(load_z(z_row + b, n, logits, start, b, scale, softcap), top)
            new_ref = number(scratch, 0.0) if top == -np.inf else top
            if new_ref != ref and total != 0:
                total *= exp(float(ref) - float(new_ref))
            ref = new_ref
            ahead = start + (b * logits.across + AHEAD * BLOCK) * item
            total += sum_exp(z_row + b, padded(n), ref, ahead, step)
        log_sum = number(scratch, np.nan if top == -np.inf else log(total))
        to = start_of(out, o, i)
        for b in range(0, classes, BLOCK):
            n = min(BLOCK, classes - b)
            affine(z_row + b, n, 1.0, -top)
            store(z_row + b, n, to + b * size, 1.0, log_sum, out.kind, out.across, flags.past_caches)
    return -1


@njit(**KERNEL)
def log_softmax_grad_last(scratch, a, first, last):
    """out = (g - softmax sum g) dz/dx; ``scale_grad``: address of sum_c dz_c dz_c/dscale per row, or 0."""
    numbers, columns, flags = settings(a, 26)
    grid, logits, log_probs = grid_of(a, first, last), place(a, 5), place(a, 10)
    upstream, out, scale_grad = place(a, 15), place(a, 20), a[25]
    classes, softcap = grid.classes, number(scratch, numbers.softcap)
    other, g_row = scratch + BLOCK, scratch + 3 * BLOCK
    one = number(scratch, 1.0)
    for position in range(grid.first, grid.last):
        o, i = position // grid.inner, position % grid.inner
        row = o * grid.row_outer + i * grid.row_inner
        scale = of_row(scratch, columns.row_scale, row, numbers.scale)
        total, slant = 0.0, 0.0
        from_up, from_probs = start_of(upstream, o, i), start_of(log_probs, o, i)
        start, to = start_of(logits, o, i), start_of(out, o, i)
        step = item_bytes(log_probs.kind) if log_probs.across == 1 else 0
        ahead = AHEAD * BLOCK * step
        for b in range(0, classes, BLOCK):
            n = min(BLOCK, classes - b)
            at = from_up + b * item_bytes(upstream.kind) * upstream.across
            load(g_row + b, n, at, upstream.kind, upstream.across)
            total += sum_of(g_row + b, n)
        for b in range(0, classes, BLOCK):
            n = min(BLOCK, classes - b)
            at = from_probs + b * item_bytes(log_probs.kind) * log_probs.across
            exp_from(scratch, n, at, one - one, at + ahead, step, log_probs.kind, log_probs.across)
            combine(scratch, n, g_row + b, -total, -1.0)
            if softcap != 0:
                load_z(other, n, logits, start, b, scale, softcap)
                times_slope(scratch, n, other, one, one / softcap)
            if scale_grad != 0:
                load(other, n, start + b * item_bytes(logits.kind) * logits.across, logits.kind, logits.across)
                slant += dot_finite(scratch, n, other)
            at = to + b * item_bytes(out.kind) * out.across
            store(scratch, n, at, scale, 0.0, out.kind, out.across, flags.past_caches)
        if scale_grad != 0:
            pointer_at(scratch, scale_grad)[row] = number(scratch, slant)
    return -1


@njit(**KERNEL)
def log_softmax_inner(scratch, a, first, last):
    """``log_softmax_last`` for tiles of rows."""
    numbers, columns, flags = settings(a, 15)
    grid, logits, out = grid_of(a, first, last), place(a, 5), place(a, 10)
    W, V, softcap = grid.lanes, grid.classes, number(scratch, numbers.softcap)
    tile, scale = scratch + VECTORS * W, scratch + SCALE * W
    top, ref, total, part = scratch + TOP * W, scratch + REF * W, scratch + TOTAL * W, scratch + PART_SUM * W
    log_sum = scratch + LOG_SUM * W
    mapped = numbers.scale != 1 or columns.row_scale != 0
    across = (grid.inner + W - 1) // W
    for position in range(grid.first, grid.last):
        o, i = position // across, position % across * W
        count = min(W, grid.inner - i)
        width = min(W, (count + 15) // 16 * 16)
        row = o * grid.row_outer + i * grid.row_inner
        start, to = start_of(logits, o, i), start_of(out, o, i)
        lane_vector(scale, count, columns.row_scale, row, grid.row_inner, numbers.scale)
        fill(top, width, -np.inf)
        fill(total, width, 0.0)
        fill(part, width, 0.0)
        for c in range(V):
            load_class(tile + c * W, count, width, start, logits, c, scratch + KEEP * W, 0, scale, mapped, softcap)
        raise_tops(tile, width, W, V, top)
        reference(ref, width, top)
        for c in range(0, V, PART_TERMS):
            exp_totals(tile + c * W, width, W, min(PART_TERMS, V - c), ref, part)
            flush(total, width, part)
        log_lanes(log_sum, width, total, top)
        for c in range(V):
            log_probs_of(tile + c * W, width, top, log_sum)
            at = to + c * item_bytes(out.kind) * out.across
            store(tile + c * W, count, at, 1.0, 0.0, out.kind, out.inner, flags.past_caches)
    return -1


@njit(**KERNEL)
def log_softmax_grad_inner(scratch, a, first, last):
    """``log_softmax_grad_last`` for tiles of rows."""
    numbers, columns, flags = settings(a, 26)
    grid, logits, log_probs = grid_of(a, first, last), place(a, 5), place(a, 10)
    upstream, out, scale_grad = place(a, 15), place(a, 20), a[25]
    W, V, softcap = grid.lanes, grid.classes, number(scratch, numbers.softcap)
    tile, scale, ones, block = scratch + VECTORS * W, scratch + SCALE * W, scratch + SOFT * W, scratch + LANES_BLOCK * W
    total, part, slant, z = scratch + TOTAL * W, scratch + PART_SUM * W, scratch + TO_SCALE * W, scratch + Z * W
    mapped = numbers.scale != 1 or columns.row_scale != 0
    across = (grid.inner + W - 1) // W
    for position in range(grid.first, grid.last):
        o, i = position // across, position % across * W
        count = min(W, grid.inner - i)
        width = min(W, (count + 15) // 16 * 16)
        row = o * grid.row_outer + i * grid.row_inner
        start, to = start_of(logits, o, i), start_of(out, o, i)
        from_up, from_probs = start_of(upstream, o, i), start_of(log_probs, o, i)
        lane_vector(scale, count, columns.row_scale, row, grid.row_inner, numbers.scale)
        fill(ones, width, 1.0)
        for vector in (total, part, slant):
            fill(vector, width, 0.0)
        for c in range(V):
            at = from_up + c * item_bytes(upstream.kind) * upstream.across
            fetch(tile + c * W, count, at, upstream.kind, upstream.inner)
            add_to(part, width, tile + c * W)
            if c % PART_TERMS == PART_TERMS - 1:
                flush(total, width, part)
        flush(total, width, part)
        for c in range(V):
            at = from_probs + c * item_bytes(log_probs.kind) * log_probs.across
            fetch(block, count, at, log_probs.kind, log_probs.inner)
            pull(block, width, tile + c * W, total)
            if softcap != 0:
                load_class(z, count, width, start, logits, c, scratch + KEEP * W, 0, scale, mapped, softcap)
                slope_lanes(block, width, z, ones, 1.0 / softcap)
            if scale_grad != 0:
                at = start + c * item_bytes(logits.kind) * logits.across
                fetch(z, count, at, logits.kind, logits.inner)
                to_scale(slant, width, block, z)
            if mapped:
                times(block, width, scale)
            at = to + c * item_bytes(out.kind) * out.across
            store(block, count, at, 1.0, 0.0, out.kind, out.inner, flags.past_caches)
        if scale_grad != 0:
            write_vector(scale_grad, slant, count, row, grid.row_inner)
    return -1
