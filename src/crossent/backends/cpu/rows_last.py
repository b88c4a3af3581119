"""Row kernels for rows whose classes lie next to each other: one row at a time, block by block.

``loss_last`` reads each row from memory once. It keeps a running maximum: each block of a row is
exponentiated against the maximum so far, and what has been summed is rescaled when that grows, as in
``stats.merge``. The exponentials stay in a scratch row (513 KB for V = 128256, in L2) and become the
gradient with one factor per block: one exp per element, one read and one write of memory, and the
same kernel whether ``out`` is fresh or the logits themselves, since no loop touches both.

Sums of blocks are added in float64, so an error does not grow with V.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from crossent.backends.cpu.blocks import (
    INNER,
    KERNEL,
    PART,
    affine,
    cap_from,
    combine,
    combine_from,
    cross_entropy,
    dot_from,
    dot_shifted,
    exp_from,
    exp_sum,
    fill,
    load,
    multiply,
    scale_z,
    store,
    store_sloped,
    sum_exp,
    sum_exp_from,
    sum_shifted,
    tilt_sum,
    top_of,
)
from crossent.backends.cpu.elementary import exp, log, number
from crossent.backends.cpu.layout import BLOCK, INT64
from crossent.backends.cpu.places import (
    class_of,
    grid_of,
    item_bytes,
    max_of,
    of_row,
    padded,
    place,
    settings,
    start_of,
)
from crossent.backends.cpu.pointers import float64_at, pointer_at, prefetch_line

AHEAD = 2  # blocks between what is read and what is asked for


@njit(**PART)
def load_q(q, target, start, b, n, weight, on, off):
    """q = w * (on * p + off) of classes b .. b + n; ``start``: address of class 0 of the row."""
    load(q, n, start + b * target.across * item_bytes(target.kind), target.kind, target.across)
    affine(q, n, on, off)
    if weight != 0:
        multiply(q, n, pointer_at(q, weight) + b)


@njit(**PART)
def load_z(block, n, logits, start, b, scale, softcap):
    """z of classes b .. b + n, padded with -inf, and its maximum."""
    at = start + b * logits.across * item_bytes(logits.kind)
    if softcap != 0:
        top = cap_from(block, n, at, scale / softcap, softcap, logits.kind, logits.across)
    else:
        top = load(block, n, at, logits.kind, logits.across)
        if scale != 1:
            top = scale_z(block, n, scale)
    fill(block + n, padded(n) - n, -np.inf)
    return top


@njit(**PART)
def zero_row(block, out, o, i, classes, past_caches):
    """Exact zeros, the gradient of a row that is not read."""
    fill(block, BLOCK, 0.0)
    start, size = start_of(out, o, i), item_bytes(out.kind) * out.across
    for b in range(0, classes, BLOCK):
        store(block, min(BLOCK, classes - b), start + b * size, 1.0, 0.0, out.kind, out.across, past_caches)


@njit(**INNER)
def fetch_seams(out, o, i, classes):
    """Prefetch the lines of a row of ``out`` that ``store`` will write in part (a block's first and last).

    They are read before they are written, and the stream of whole lines behind them waits for that:
    16384 x 1000: 10.5 against 8.3 ns per 16 elements.
    """
    start, size = start_of(out, o, i), item_bytes(out.kind)
    end = start + classes * size
    if start % 64 != 0:
        for address in range(start, end, BLOCK * size):
            prefetch_line(address)
    if end % 64 != 0:
        prefetch_line(end)


@njit(**PART)
def read_row(scratch, refs, e_row, z_row, grid, logits, target, o, i, y, numbers, columns, scale, keep, tilt):
    """(max, sum exp(z - max), sum q (z - max) without the target's own term, sum of those q, tilt sum, z_y).

    ``keep``: leave exp(z - refs[block]) in e_row, the references in refs and (softcap) z in z_row.
    """
    classes, softcap = grid.classes, number(scratch, numbers.softcap)
    q = scratch + BLOCK
    start, target_start = start_of(logits, o, i), start_of(target, o, i)
    item, target_item = item_bytes(logits.kind), item_bytes(target.kind)
    step, target_step = item if logits.across == 1 else 0, target_item if target.across == 1 else 0
    by_index = target.kind == INT64
    top, ref, z_y = number(scratch, -np.inf), number(scratch, 0.0), number(scratch, 0.0)
    total, dot, mass, tilted = 0.0, 0.0, 0.0, 0.0
    for b in range(0, classes, BLOCK):
        n = min(BLOCK, classes - b)
        block = e_row + b if keep else scratch
        z = z_row + b if keep and softcap != 0 else block
        ahead = start + (b * logits.across + AHEAD * BLOCK) * item
        top = max_of(load_z(z, n, logits, start, b, scale, softcap), top)
        if y >= b and y < b + n:
            z_y = z[y - b]
        # A row that begins with -inf only has no reference yet: exp(-inf - 0) = 0.
        new_ref = number(scratch, 0.0) if top == -np.inf else top
        if new_ref != ref:
            down = float(ref) - float(new_ref)
            if total != 0:
                shrink = exp(down)
                tilted = shrink * (tilted + down * total)
                total *= shrink
            if mass != 0:
                dot += mass * down
            ref = new_ref
        if not by_index:
            if columns.weight == 0:
                at = target_start + b * target.across * target_item
                more = at + AHEAD * BLOCK * target_item
                on, off = number(scratch, numbers.on), number(scratch, numbers.off)
                dots, weight = dot_from(z, n, at, ref, on, off, more, target_step, target.kind, target.across)
            else:
                load_q(q, target, target_start, b, n, columns.weight, numbers.on, numbers.off)
                dots, weight = dot_shifted(z, n, q, ref)
            dot += dots
            mass += weight
        elif numbers.off != 0:
            if columns.weight != 0:
                w = pointer_at(scratch, columns.weight) + b
                dots, weight = dot_shifted(z, n, w, ref)
                dot += numbers.off * dots
                mass += numbers.off * weight
            else:
                dot += numbers.off * sum_shifted(z, n, ref)
                mass += numbers.off * n
        if tilt:
            tilted += tilt_sum(z, n, ref)
        if keep:
            refs[b // BLOCK] = ref
            total += exp_sum(block, padded(n), z, ref, ahead, step)
        else:
            total += sum_exp(block, padded(n), ref, ahead, step)
    return top, total, dot, mass, tilted, z_y


@njit(**PART)
def read_plain_row(scratch, refs, e_row, grid, logits, o, i, y, keep):
    """``read_row`` where z serves exponentials alone: each block is read twice in L1 and copied nowhere."""
    classes, kind, across = grid.classes, logits.kind, logits.across
    start, item = start_of(logits, o, i), item_bytes(logits.kind)
    top, ref, total = number(scratch, -np.inf), number(scratch, 0.0), 0.0
    step = item if across == 1 else 0
    for b in range(0, classes, BLOCK):
        n, at = min(BLOCK, classes - b), start + b * across * item
        top = max_of(top_of(scratch, n, at, kind, across), top)
        new_ref = number(scratch, 0.0) if top == -np.inf else top
        if new_ref != ref:
            if total != 0:
                total *= exp(float(ref) - float(new_ref))
            ref = new_ref
        ahead = at + AHEAD * BLOCK * item
        if keep:
            refs[b // BLOCK] = ref
            total += exp_from(e_row + b, n, at, ref, ahead, step, kind, across)
        else:
            total += sum_exp_from(scratch, n, at, ref, ahead, step, kind, across)
    z_y = number(scratch, 0.0)
    if y >= 0:
        load(scratch, 1, start + y * across * item, kind, 1)
        z_y = scratch[0]
    return top, total, 0.0, 0.0, 0.0, z_y


@njit(**PART)
def target_share(like, hard, y, columns, numbers):
    """hard * q of the target's class; on + off are added before either is rounded: in a trained row softmax is near."""
    return number(like, hard * (numbers.on + numbers.off)) * of_row(like, columns.weight, y, 1.0)


@njit(**PART)
def write_row(scratch, refs, e_row, z_row, grid, target, out, o, i, y, numbers, columns, flags, top, scale, soft, hard):
    """out = (soft * e - hard * q) * dz/dx; ``soft`` is already divided by the sum of exponentials."""
    classes, softcap = grid.classes, number(scratch, numbers.softcap)
    q = scratch + BLOCK
    start, size = start_of(out, o, i), item_bytes(out.kind) * out.across
    target_start = start_of(target, o, i)
    if softcap == 0:
        soft, hard = soft * scale, hard * scale
    off, on = number(scratch, hard * numbers.off), number(scratch, hard * numbers.on)
    own = target_share(scratch, hard, max(y, 0), columns, numbers)
    by_index = target.kind == INT64
    for b in range(0, classes, BLOCK):
        n = min(BLOCK, classes - b)
        block, at = e_row + b, b + BLOCK if y < b or y >= b + n else y - b
        down = float(refs[b // BLOCK]) - float(top)  # above 0 only where a block is all -inf and its exponentials are 0
        factor = number(scratch, soft * exp(down if down <= 0.0 else down * 0.0))
        shift = off
        at_target = block[at] * factor - own if by_index and at < n else own
        if not by_index and columns.weight == 0:
            at_q = target_start + b * target.across * item_bytes(target.kind)
            combine_from(block, n, at_q, factor, on, off, target.kind, target.across)
        elif not by_index:
            load_q(q, target, target_start, b, n, columns.weight, numbers.on, numbers.off)
            combine(block, n, q, factor, hard)
        elif columns.weight != 0 and off != 0:
            combine(block, n, pointer_at(scratch, columns.weight) + b, factor, off)
        elif at < n:
            affine(block, n, factor, -off)
        if not by_index or at < n or (columns.weight != 0 and off != 0):  # the block is what is stored
            factor, shift = number(scratch, 1.0), number(scratch, 0.0)
        if by_index and at < n:
            block[at] = at_target
        to = start + b * size
        if softcap != 0:
            inverse = 1.0 / softcap
            store_sloped(
                block, n, to, z_row + b, factor, shift, scale, inverse, out.kind, out.across, flags.past_caches
            )
        else:
            store(block, n, to, factor, shift, out.kind, out.across, flags.past_caches)


@njit(**KERNEL)
def loss_last(scratch, a, first, last):
    """Statistics (``stats`` != 0: five vectors ``stride`` apart), row losses (``loss`` != 0), their sums over ``group``
    rows (``sums`` != 0, float64) and gradient (``out`` != 0) of rows first .. last. Returns the first row with a
    target out of range, or -1."""
    numbers, columns, flags = settings(a, 25)
    grid, logits, target, out = grid_of(a, first, last), place(a, 5), place(a, 10), place(a, 15)
    stats, stride, loss, sums, group = a[20], a[21], a[22], a[23], a[24]
    classes = grid.classes
    refs = scratch + 2 * BLOCK
    e_row = refs + padded(classes // BLOCK + 1)
    z_row = e_row + padded(classes)
    keep = out.address != 0
    plain = target.kind == INT64 and numbers.off == 0 and numbers.softcap == 0 and flags.tilt == 0
    for position in range(grid.first, grid.last):
        o, i = position // grid.inner, position % grid.inner
        row = o * grid.row_outer + i * grid.row_inner
        y = -1
        if target.kind == INT64:
            y = class_of(target, o, i)
            if flags.has_skip and y == flags.skip:
                if stats != 0:
                    for k in range(4 + flags.tilt):
                        pointer_at(scratch, stats)[k * stride + row] = number(scratch, 0.0)
                if loss != 0:
                    pointer_at(scratch, loss)[row] = number(scratch, 0.0)
                if keep:
                    zero_row(scratch, out, o, i, classes, flags.past_caches)
                continue
            if y < 0 or y >= classes:
                return row
        scale = of_row(scratch, columns.row_scale, row, numbers.scale)
        if keep and flags.past_caches:
            fetch_seams(out, o, i, classes)
        if plain and scale == 1:
            top, total, dot, mass, tilted, z_y = read_plain_row(scratch, refs, e_row, grid, logits, o, i, y, keep)
        else:
            top, total, dot, mass, tilted, z_y = read_row(
                scratch,
                refs,
                e_row,
                z_row,
                grid,
                logits,
                target,
                o,
                i,
                y,
                numbers,
                columns,
                scale,
                keep,
                flags.tilt != 0,
            )
        if total != total and top < np.inf:
            top = number(scratch, np.nan)
        elif top == -np.inf:
            total = np.nan
        log_sum = log(total)
        if y >= 0:
            w_y = numbers.on * of_row(scratch, columns.weight, y, 1.0)
            dot += w_y * (float(z_y) - float(top))
            mass += w_y
        if stats != 0:
            to = pointer_at(scratch, stats)
            to[row] = top
            to[stride + row] = number(scratch, log_sum)
            to[2 * stride + row] = number(scratch, dot)
            to[3 * stride + row] = number(scratch, mass)
            if flags.tilt:
                to[4 * stride + row] = number(scratch, tilted / total)
        share = of_row(scratch, columns.row_factor, row, 1.0)
        if loss != 0 or sums != 0:
            lse = float(top) + log_sum
            value = cross_entropy(mass, log_sum, dot)
            if numbers.z_loss != 0:
                value += numbers.z_loss * lse * lse
            if loss != 0:
                pointer_at(scratch, loss)[row] = number(scratch, value)
            if sums != 0:
                float64_at(sums)[position // group] += float(share) * value
        if keep:
            hard = numbers.factor * share
            soft = mass if numbers.z_loss == 0 else mass + 2.0 * numbers.z_loss * (float(top) + log_sum)
            write_row(
                scratch,
                refs,
                e_row,
                z_row,
                grid,
                target,
                out,
                o,
                i,
                y,
                numbers,
                columns,
                flags,
                top,
                scale,
                hard * soft / total,
                hard,
            )
    return -1
