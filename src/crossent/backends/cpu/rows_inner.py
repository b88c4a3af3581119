"""Row kernels for rows that lie next to each other, ``(N, C, d1..dK)``, and for rows too short for a vector.

A tile of ``lanes`` rows times all classes is copied to scratch as ``tile[class][lane]``, worked on in vectors across
rows, and written back: one read and one write of memory again, in whole stretches of ``lanes`` elements.
The strides decide what a lane is; rows of 10 classes come in transposed (one element per
cycle) and then fill whole vectors: 65536 x 10 takes a third of torch.compile's time.

Sums over classes are kept in parts of 32 terms, so that an error grows with V / 32.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from crossent.backends.cpu.blocks import KERNEL, PART, affine, copy, fill, store, sum_of
from crossent.backends.cpu.elementary import number
from crossent.backends.cpu.lanes import (
    add_z_loss,
    cap_lanes,
    coefficients,
    divide,
    dot_add,
    exp_sums,
    fetch,
    fetch_tops,
    flush,
    gradient_off,
    gradient_q,
    gradients_in,
    gradients_out,
    log_lanes,
    mask,
    own_term,
    plain_coefficients,
    raise_tops,
    reference,
    row_value,
    scale_lanes,
    shifted_add,
    slope_lanes,
    tilt_add,
    times,
)
from crossent.backends.cpu.layout import INT64, VECTORS
from crossent.backends.cpu.places import (
    grid_of,
    item_bytes,
    kind_of,
    of_row,
    place,
    settings,
    start_of,
)
from crossent.backends.cpu.pointers import address_of, float64_at, int64_at
from crossent.backends.cpu.transposed import by_rows, load_rows, store_rows

PART_TERMS = 32
# The vectors of one number per lane, in this order at the start of scratch; then tile[V][lanes], then z[V][lanes].
Y, KEEP, OWN, TOP, REF, TOTAL, SUM, PART_SUM, ZY, DOT, MASS, TILT, Q, SCALE, LOG_SUM, SOFT, HARD, EXTRA = range(18)
BEND, SHRINK, BLOCK, Z, TO_SCALE = range(18, 23)
assert TO_SCALE < VECTORS


@njit(**PART)
def read_targets(target, grid, o, i, count, vectors, columns, numbers, flags):
    """Target class (-1: none), 1 or 0 for read or not and w_y per lane; (bad lane or -1, lanes not read)."""
    y, keep, own = vectors + Y * grid.lanes, vectors + KEEP * grid.lanes, vectors + OWN * grid.lanes
    fill(keep, count, 1.0)
    if target.kind != INT64:
        fill(y, count, -1.0)
        fill(own, count, 0.0)
        return -1, 0
    classes, stride = int64_at(target.address) + (o * target.outer + i * target.inner), target.inner
    skipped, wrong, bad = 0, 0, -1
    for lane in range(count):  # this loop and the next become vectors
        c = classes[lane * stride]
        is_skipped = flags.has_skip != 0 and c == flags.skip
        skipped += is_skipped
        wrong += (not is_skipped) and (c < 0 or c >= grid.classes)
    for lane in range(count):
        y[lane] = classes[lane * stride]
    fill(own, count, 1.0)
    if skipped or wrong or columns.weight != 0:
        for lane in range(count):
            c = classes[lane * stride]
            if flags.has_skip and c == flags.skip:
                y[lane], keep[lane], own[lane] = -1.0, 0.0, 0.0
            elif c < 0 or c >= grid.classes:
                bad = lane if bad < 0 else bad
            else:
                own[lane] = of_row(own, columns.weight, c, 1.0)
    return bad, skipped


@njit(**PART)
def lane_vector(vector, count, address, row, step, default):
    """vector = the per-row numbers of a tile's rows, or ``default`` where there are none."""
    if address == 0:
        fill(vector, count, default)
    else:
        kind = kind_of(vector)
        fetch(vector, count, address + row * item_bytes(kind), kind, step)


@njit(**PART)
def write_vector(address, vector, count, row, step):
    """Per-row numbers of a tile's rows to where they belong."""
    kind = kind_of(vector)
    store(vector, count, address + row * item_bytes(kind), 1.0, 0.0, kind, step, 0)


@njit(**PART)
def load_class(block, count, width, start, place, c, keep, skipped, scale, mapped, softcap):
    """z of class c of every lane, zeros in lanes that are not read."""
    fetch(block, count, start + c * place.across * item_bytes(place.kind), place.kind, place.inner)
    if skipped:
        mask(block, width, keep)
    if softcap != 0:
        cap_lanes(block, width, scale, 1.0 / softcap, softcap)
    elif mapped:
        scale_lanes(block, width, scale)


@njit(**PART)
def load_lanes_q(q, count, start, target, c, columns, numbers):
    """q of class c of every lane."""
    w = float(of_row(q, columns.weight, c, 1.0))
    fetch(q, count, start + c * target.across * item_bytes(target.kind), target.kind, target.inner)
    affine(q, count, w * numbers.on, w * numbers.off)


@njit(**PART)
def read_tile(
    vectors, tile, z_tile, grid, logits, target, o, i, count, width, skipped, numbers, columns, keep_z, tilted
):
    """Exponentials of a tile in place of its classes, and per lane the sums over them."""
    W, V, softcap = grid.lanes, grid.classes, number(vectors, numbers.softcap)
    top, ref, total, part = vectors + TOP * W, vectors + REF * W, vectors + TOTAL * W, vectors + PART_SUM * W
    dot, mass, q = vectors + DOT * W, vectors + MASS * W, vectors + Q * W
    start, target_start = start_of(logits, o, i), start_of(target, o, i)
    mapped = numbers.scale != 1 or columns.row_scale != 0
    fill(top, width, -np.inf)
    for k in (TOTAL, PART_SUM, DOT, MASS, TILT):
        fill(vectors + k * W, width, 0.0)
    step, item = logits.across * item_bytes(logits.kind), item_bytes(logits.kind)
    plain = not (mapped or softcap != 0 or skipped)
    turned = plain and by_rows(tile, logits, count)
    if plain and logits.inner == 1:
        fetch_tops(tile, count, W, V, start, top, logits.kind, step)
    else:
        keep, scale = vectors + KEEP * W, vectors + SCALE * W
        if turned:
            load_rows(tile, grid, start, logits, count)
        else:
            for c in range(V):
                load_class(tile + c * W, count, width, start, logits, c, keep, skipped, scale, mapped, softcap)
        raise_tops(tile, width, W, V, top)
    if keep_z:
        for c in range(V):
            copy(z_tile + c * W, width, tile + c * W)
    y, z_y = vectors + Y * W, vectors + ZY * W
    for lane in range(count):
        z_y[lane] = tile[max(int(y[lane]), 0) * W + lane]
    reference(ref, width, top)
    if target.kind != INT64:
        extra = vectors + EXTRA * W
        fill(extra, width, 0.0)
        for c in range(V):
            load_lanes_q(q, count, target_start, target, c, columns, numbers)
            dot_add(tile + c * W, width, ref, q, part, extra)
            if c % PART_TERMS == PART_TERMS - 1:
                flush(dot, width, part)
                flush(mass, width, extra)
        flush(dot, width, part)
        flush(mass, width, extra)
    elif numbers.off != 0:
        weight_sum = 0.0
        for c in range(V):
            w = numbers.off * of_row(vectors, columns.weight, c, 1.0)
            weight_sum += w
            shifted_add(tile + c * W, width, ref, part, w)
            if c % PART_TERMS == PART_TERMS - 1:
                flush(dot, width, part)
        flush(dot, width, part)
        fill(mass, width, weight_sum)
    if tilted:
        for c in range(V):
            tilt_add(tile + c * W, width, ref, part)
            if c % PART_TERMS == PART_TERMS - 1:
                flush(vectors + TILT * W, width, part)
        flush(vectors + TILT * W, width, part)
    # While exponentials are taken, the next tile is on its way: no prefetcher sees a pattern in classes far apart.
    far = logits.inner == 1 and i + W < grid.inner
    ahead, by_class, by_lane = (start + W * item, step, item) if far else (address_of(tile), 0, 0)
    for c in range(0, V, PART_TERMS):
        exp_sums(tile + c * W, width, W, min(PART_TERMS, V - c), ref, part, ahead + c * by_class, by_class, by_lane)
        flush(total, width, part)


@njit(**PART)
def finish_tile(vectors, grid, row, count, width, skipped, stats, stride, loss, sum_at, numbers, columns, flags, keep):
    """Statistics, losses and coefficients of a tile's rows from the sums."""
    W = grid.lanes
    top, total, dot, mass = vectors + TOP * W, vectors + TOTAL * W, vectors + DOT * W, vectors + MASS * W
    log_sum, tilt, hard, extra = vectors + LOG_SUM * W, vectors + TILT * W, vectors + HARD * W, vectors + EXTRA * W
    log_lanes(log_sum, width, total, top)
    own_term(dot, width, mass, vectors + ZY * W, top, vectors + OWN * W, vectors + Y * W, numbers.on)
    item = item_bytes(kind_of(vectors))
    if stats != 0:
        divide(tilt, width, total)
        for k in range(4 + flags.tilt):
            vector = top if k == 0 else log_sum if k == 1 else dot if k == 2 else mass if k == 3 else tilt
            copy(extra, width, vector)
            if skipped:
                mask(extra, width, vectors + KEEP * W)
            write_vector(stats + k * stride * item, extra, count, row, grid.row_inner)
    if keep:
        lane_vector(hard, count, columns.row_factor, row, grid.row_inner, 1.0)
    if loss != 0 or sum_at != 0:
        row_value(extra, width, mass, log_sum, dot)
        if numbers.z_loss != 0:
            add_z_loss(extra, width, top, log_sum, numbers.z_loss)
        if skipped:
            mask(extra, width, vectors + KEEP * W)
        if loss != 0:
            write_vector(loss, extra, count, row, grid.row_inner)
        if sum_at != 0:
            times(extra, width, hard)
            if skipped:
                mask(extra, width, vectors + KEEP * W)
            float64_at(sum_at)[0] = float(sum_of(extra, count))
    if keep:
        affine(hard, width, numbers.factor, 0.0)
        if skipped:
            mask(hard, width, vectors + KEEP * W)
        if numbers.z_loss != 0:
            coefficients(vectors + SOFT * W, width, hard, mass, top, log_sum, total, 2.0 * numbers.z_loss)
        else:
            plain_coefficients(vectors + SOFT * W, width, hard, mass, total)


@njit(**PART)
def write_tile(vectors, tile, z_tile, grid, target, out, o, i, count, width, numbers, columns, flags):
    """out = (soft e - hard q) dz/dx of a tile."""
    W, V = grid.lanes, grid.classes
    y, own, q, scale = vectors + Y * W, vectors + OWN * W, vectors + Q * W, vectors + SCALE * W
    soft, hard = vectors + SOFT * W, vectors + HARD * W
    start, size = start_of(out, o, i), item_bytes(out.kind) * out.across
    target_start = start_of(target, o, i)
    if numbers.softcap == 0:
        times(soft, width, scale)
        times(hard, width, scale)
    times(own, width, hard)
    affine(own, width, numbers.on + numbers.off, 0.0)  # added before either is rounded: softmax is next to it
    plain = target.kind == INT64 and numbers.off == 0 and numbers.softcap == 0
    if plain and out.inner == 1:
        aligned = 1 if flags.past_caches != 0 and (start | size) % 64 == 0 and count % 16 == 0 else 0
        gradients_out(tile, count, W, V, start, soft, own, y, out.kind, size, aligned)
        return
    if plain and by_rows(tile, out, count):
        gradients_in(tile, count, W, V, soft, own, y)
        store_rows(tile, grid, start, out, count)
        return
    for c in range(V):
        block = tile + c * W
        if target.kind != INT64:
            load_lanes_q(q, count, target_start, target, c, columns, numbers)
            gradient_q(block, width, soft, hard, q)
        elif numbers.off != 0:
            off = numbers.off * of_row(vectors, columns.weight, c, 1.0)
            gradient_off(block, width, soft, hard, own, y, number(vectors, c), off)
        else:
            gradient_off(block, width, soft, hard, own, y, number(vectors, c), 0.0)
        if numbers.softcap != 0:
            slope_lanes(block, width, z_tile + c * W, scale, 1.0 / numbers.softcap)
        store(block, count, start + c * size, 1.0, 0.0, out.kind, out.inner, flags.past_caches)


@njit(**KERNEL)
def loss_inner(scratch, a, first, last):
    """``loss_last`` for tiles of rows: statistics, losses and gradient. Returns the first bad row, or -1."""
    numbers, columns, flags = settings(a, 25)
    grid, logits, target, out = grid_of(a, first, last), place(a, 5), place(a, 10), place(a, 15)
    stats, stride, loss, sums = a[20], a[21], a[22], a[23]  # of sums: one per tile
    W, V = grid.lanes, grid.classes
    tile = scratch + VECTORS * W
    z_tile = tile + V * W
    keep = out.address != 0
    across = (grid.inner + W - 1) // W
    for position in range(grid.first, grid.last):
        o, i = position // across, position % across * W
        count = min(W, grid.inner - i)
        width = min(W, (count + 15) // 16 * 16)
        row = o * grid.row_outer + i * grid.row_inner
        bad, skipped = read_targets(target, grid, o, i, count, scratch, columns, numbers, flags)
        if bad >= 0:
            return row + bad * grid.row_inner
        lane_vector(scratch + SCALE * W, count, columns.row_scale, row, grid.row_inner, numbers.scale)
        read_tile(
            scratch,
            tile,
            z_tile,
            grid,
            logits,
            target,
            o,
            i,
            count,
            width,
            skipped,
            numbers,
            columns,
            keep and numbers.softcap != 0,
            flags.tilt != 0,
        )
        sum_at = sums + 8 * position if sums != 0 else 0
        finish_tile(
            scratch, grid, row, count, width, skipped, stats, stride, loss, sum_at, numbers, columns, flags, keep
        )
        if keep:
            write_tile(scratch, tile, z_tile, grid, target, out, o, i, count, width, numbers, columns, flags)
    return -1
