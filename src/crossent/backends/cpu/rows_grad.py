"""Kernels that make the gradient from statistics that are already known (and may be merged ones).

Where the upstream gradients of the rows are not known beforehand, or a backward asks for more than the gradient of the
logits: each class is exponentiated once more, against the known maximum.
"""

from __future__ import annotations

from numba import njit

from crossent.backends.cpu.blocks import (
    KERNEL,
    affine,
    bend_by,
    combine,
    copy,
    dot_finite,
    exp_from,
    exp_sum,
    fill,
    load,
    multiply,
    store,
    surprise,
    times_slope,
)
from crossent.backends.cpu.elementary import exp, number
from crossent.backends.cpu.lanes import (
    bend_lanes,
    exp_lanes,
    fetch,
    inverse_exp,
    mask,
    minus_own,
    minus_product,
    slope_lanes,
    surprise_lanes,
    times,
    to_scale,
)
from crossent.backends.cpu.layout import BLOCK, INT64
from crossent.backends.cpu.places import (
    class_of,
    given_of,
    grid_of,
    item_bytes,
    of_row,
    padded,
    place,
    settings,
    start_of,
)
from crossent.backends.cpu.pointers import pointer_at
from crossent.backends.cpu.rows_inner import (
    BEND,
    EXTRA,
    HARD,
    KEEP,
    LOG_SUM,
    OWN,
    SCALE,
    SHRINK,
    SOFT,
    TO_SCALE,
    TOP,
    Q,
    Y,
    Z,
    lane_vector,
    load_class,
    load_lanes_q,
    read_targets,
    write_vector,
)
from crossent.backends.cpu.rows_inner import BLOCK as LANES_BLOCK
from crossent.backends.cpu.rows_last import AHEAD, load_q, load_z, target_share, zero_row


@njit(**KERNEL)
def grad_last(scratch, a, first, last):
    """out = softmax * (soft + bend * (z - max)) - hard * q, times dz/dx, from known statistics; on request
    sum_c dz_c dz_c/dscale per row and the gradient to probabilities. Returns the first bad row, or -1."""
    numbers, columns, flags = settings(a, 31)
    grid, logits, target, out = grid_of(a, first, last), place(a, 5), place(a, 10), place(a, 15)
    target_grad, given = place(a, 20), given_of(a, 25)
    classes, softcap = grid.classes, number(scratch, numbers.softcap)
    q, z = scratch + BLOCK, scratch + 2 * BLOCK
    by_index = target.kind == INT64
    one = number(scratch, 1.0)
    extras = 0 if by_index and softcap == 0 and (columns.weight == 0 or numbers.off == 0) else 1
    if target_grad.address != 0 or given.bend != 0 or given.scale != 0:
        extras = 1
    for position in range(grid.first, grid.last):
        o, i = position // grid.inner, position % grid.inner
        row = o * grid.row_outer + i * grid.row_inner
        y = -1
        if by_index:
            y = class_of(target, o, i)
            if flags.has_skip and y == flags.skip:
                zero_row(scratch, out, o, i, classes, flags.past_caches)
                if given.scale != 0:
                    pointer_at(scratch, given.scale)[row] = 0.0
                continue
            if y < 0 or y >= classes:
                return row
        scale = of_row(scratch, columns.row_scale, row, numbers.scale)
        top, log_sum = pointer_at(scratch, given.max)[row], pointer_at(scratch, given.log_sum)[row]
        soft, hard = pointer_at(scratch, given.soft)[row], pointer_at(scratch, given.hard)[row]
        bend = of_row(scratch, given.bend, row, 0.0)
        shrink = number(scratch, exp(-float(log_sum)))
        off, on = number(scratch, hard * numbers.off), number(scratch, hard * numbers.on)
        own = target_share(scratch, hard, max(y, 0), columns, numbers)
        start, out_start = start_of(logits, o, i), start_of(out, o, i)
        target_start, size = start_of(target, o, i), item_bytes(out.kind) * out.across
        to_scale = 0.0
        item = item_bytes(logits.kind)
        step = item if logits.across == 1 else 0
        plain = extras == 0 and scale == 1
        for b in range(0, classes, BLOCK):
            n = min(BLOCK, classes - b)
            at, ahead = start + b * logits.across * item, start + (b * logits.across + AHEAD * BLOCK) * item
            factor, shift = shrink * soft, off
            here = y >= b and y < b + n
            if plain:
                exp_from(scratch, n, at, top, ahead, step, logits.kind, logits.across)
                if here:
                    at_target = scratch[y - b] * factor - own
                    affine(scratch, n, factor, -shift)
                    scratch[y - b] = at_target
                    factor, shift = one, number(scratch, 0.0)
                store(scratch, n, out_start + b * size, factor, shift, out.kind, out.across, flags.past_caches)
                continue
            load_z(z, n, logits, start, b, scale, softcap)
            if target_grad.address != 0:
                surprise(q, n, z, top, log_sum, on)
                if columns.weight != 0:
                    multiply(q, n, pointer_at(scratch, columns.weight) + b)
                at = start_of(target_grad, o, i) + b * item_bytes(target_grad.kind) * target_grad.across
                store(q, n, at, 1.0, 0.0, target_grad.kind, target_grad.across, 0)
            exp_sum(scratch, padded(n), z, top, ahead, step)
            if given.bend != 0:
                bend_by(scratch, n, z, top, soft, bend)
                factor = shrink
            at_target = scratch[y - b] * factor - own if here else own
            if not by_index:
                load_q(q, target, target_start, b, n, columns.weight, numbers.on, numbers.off)
                combine(scratch, n, q, factor, hard)
            elif columns.weight != 0 and off != 0:
                combine(scratch, n, pointer_at(scratch, columns.weight) + b, factor, off)
            else:
                affine(scratch, n, factor, -off)
            if here:
                scratch[y - b] = at_target
            if softcap != 0:
                times_slope(scratch, n, z, one, 1.0 / softcap)
            if given.scale != 0:
                load(z, n, start + b * logits.across * item_bytes(logits.kind), logits.kind, logits.across)
                to_scale += dot_finite(scratch, n, z)
            store(scratch, n, out_start + b * size, scale, 0.0, out.kind, out.across, flags.past_caches)
        if given.scale != 0:
            pointer_at(scratch, given.scale)[row] = number(scratch, to_scale)
    return -1


@njit(**KERNEL)
def grad_inner(scratch, a, first, last):
    """``grad_last`` for tiles of rows: the gradient from known statistics. Returns the first bad row, or -1."""
    numbers, columns, flags = settings(a, 31)
    grid, logits, target, out = grid_of(a, first, last), place(a, 5), place(a, 10), place(a, 15)
    target_grad, given = place(a, 20), given_of(a, 25)
    W, V, softcap = grid.lanes, grid.classes, numbers.softcap
    y, keep, own, top = scratch + Y * W, scratch + KEEP * W, scratch + OWN * W, scratch + TOP * W
    log_sum, soft, hard, bend = scratch + LOG_SUM * W, scratch + SOFT * W, scratch + HARD * W, scratch + BEND * W
    q, scale, shrink, block = scratch + Q * W, scratch + SCALE * W, scratch + SHRINK * W, scratch + LANES_BLOCK * W
    z, total, extra = scratch + Z * W, scratch + TO_SCALE * W, scratch + EXTRA * W
    mapped = numbers.scale != 1 or columns.row_scale != 0
    across = (grid.inner + W - 1) // W
    for position in range(grid.first, grid.last):
        o, i = position // across, position % across * W
        count = min(W, grid.inner - i)
        width = min(W, (count + 15) // 16 * 16)
        row = o * grid.row_outer + i * grid.row_inner
        bad, skipped = read_targets(target, grid, o, i, count, scratch, columns, numbers, flags)
        if bad >= 0:
            return row + bad * grid.row_inner
        lane_vector(scale, count, columns.row_scale, row, grid.row_inner, numbers.scale)
        for k in range(5):
            vector = top if k == 0 else log_sum if k == 1 else soft if k == 2 else hard if k == 3 else bend
            lane_vector(vector, count, given[k], row, grid.row_inner, 0.0)
            if skipped:
                mask(vector, width, keep)
        inverse_exp(shrink, width, log_sum)
        fill(total, width, 0.0)
        times(own, width, hard)
        affine(own, width, numbers.on + numbers.off, 0.0)
        start, out_start, target_start = start_of(logits, o, i), start_of(out, o, i), start_of(target, o, i)
        for c in range(V):
            load_class(block, count, width, start, logits, c, keep, skipped, scale, mapped, softcap)
            copy(z, width, block)
            if target_grad.address != 0:
                w = numbers.on * of_row(scratch, columns.weight, c, 1.0)
                surprise_lanes(q, width, z, top, log_sum, hard, w)
                at = start_of(target_grad, o, i) + c * item_bytes(target_grad.kind) * target_grad.across
                store(q, count, at, 1.0, 0.0, target_grad.kind, target_grad.inner, 0)
            exp_lanes(block, width, top, shrink)
            if given.bend != 0:
                bend_lanes(block, width, z, top, soft, bend)
            else:
                times(block, width, soft)
            if target.kind != INT64:
                load_lanes_q(q, count, target_start, target, c, columns, numbers)
                minus_product(block, width, hard, q)
            else:
                off = numbers.off * of_row(scratch, columns.weight, c, 1.0)
                minus_own(block, width, hard, own, y, number(scratch, c), off)
            if softcap != 0:
                fill(extra, width, 1.0)
                slope_lanes(block, width, z, extra, 1.0 / softcap)
            if given.scale != 0:
                fetch(z, count, start + c * logits.across * item_bytes(logits.kind), logits.kind, logits.inner)
                to_scale(total, width, block, z)
            if mapped:
                times(block, width, scale)
            store(
                block,
                count,
                out_start + c * item_bytes(out.kind) * out.across,
                1.0,
                0.0,
                out.kind,
                out.inner,
                flags.past_caches,
            )
        if given.scale != 0:
            if skipped:
                mask(total, width, keep)
            write_vector(given.scale, total, count, row, grid.row_inner)
    return -1
