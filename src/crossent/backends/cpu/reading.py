"""Kernels that read targets and predictions: how many rows are read, which class is largest, the target's rank."""

from __future__ import annotations

import numpy as np
from numba import njit

from crossent.backends.cpu.blocks import KERNEL, above_and_nan, fill
from crossent.backends.cpu.elementary import number
from crossent.backends.cpu.lanes import best_of, count_above
from crossent.backends.cpu.layout import BLOCK, INT64
from crossent.backends.cpu.places import class_of, grid_of, of_row, place, settings, start_of
from crossent.backends.cpu.pointers import float64_at, int64_at
from crossent.backends.cpu.rows_inner import BLOCK as LANES_BLOCK
from crossent.backends.cpu.rows_inner import KEEP, SCALE, TOP, TOTAL, ZY, Y, Z, lane_vector, load_class
from crossent.backends.cpu.rows_last import load_z


@njit(**KERNEL)
def count(scratch, a, first, last):
    """result = (rows that are read, sum of row_factor_i * w_{y_i} over them) as float64; the first bad row, or -1.

    Without weights the row is one compare, and the loop over contiguous targets is vectorised.
    """
    _, columns, flags = settings(a, 11)
    grid, target, result = grid_of(a, first, last), place(a, 5), a[10]
    rows, share, bad = 0, 0.0, 0
    plain = columns.weight == 0 and columns.row_factor == 0
    for o in range(grid.first, grid.last):
        for i in range(grid.inner):
            c = class_of(target, o, i)
            read = not (flags.has_skip and c == flags.skip)
            wrong = read and (c < 0 or c >= grid.classes)
            rows += read
            bad += wrong
            if not plain and read and not wrong:
                row = o * grid.inner + i
                share += float(of_row(scratch, columns.weight, c, 1.0)) * float(
                    of_row(scratch, columns.row_factor, row, 1.0)
                )
    to = float64_at(result)
    to[0], to[1] = float(rows), float(rows) if plain else share
    if bad > 0:
        for o in range(grid.first, grid.last):
            for i in range(grid.inner):
                c = class_of(target, o, i)
                if not (flags.has_skip and c == flags.skip) and (c < 0 or c >= grid.classes):
                    return o * grid.inner + i
    return -1


@njit(**KERNEL)
def read_last(scratch, a, first, last):
    """First class of the maximum (a NaN is the largest, as in torch) and how many classes exceed the target."""
    numbers, columns, flags = settings(a, 17)
    grid, logits, target = grid_of(a, first, last), place(a, 5), place(a, 10)
    predicted, rank = a[15], a[16]
    classes, softcap = grid.classes, number(scratch, numbers.softcap)
    by_index = target.kind == INT64
    for position in range(grid.first, grid.last):
        o, i = position // grid.inner, position % grid.inner
        row = o * grid.row_outer + i * grid.row_inner
        scale = of_row(scratch, columns.row_scale, row, numbers.scale)
        start = start_of(logits, o, i)
        z_y, above = number(scratch, np.nan), 0
        if by_index:
            y = class_of(target, o, i)
            if flags.has_skip and y == flags.skip:
                int64_at(predicted)[row], int64_at(rank)[row] = -1, -1
                continue
            if y < 0 or y >= classes:
                return row
            load_z(scratch, 1, logits, start, y, scale, softcap)
            z_y = scratch[0]
        top, best, has_nan = number(scratch, -np.inf), 0, False
        for b in range(0, classes, BLOCK):
            n = min(BLOCK, classes - b)
            largest = load_z(scratch, n, logits, start, b, scale, softcap)
            more, nans = above_and_nan(scratch, n, z_y)
            above += int(more)
            if nans > 0 and not has_nan:
                has_nan = True
                best = b
                while scratch[best - b] == scratch[best - b]:
                    best += 1
            if largest > top and not has_nan:
                top, best = largest, b
                while scratch[best - b] != largest:
                    best += 1
        int64_at(predicted)[row], int64_at(rank)[row] = best, above if by_index else -1
    return -1


@njit(**KERNEL)
def read_inner(scratch, a, first, last):
    """``read_last`` for tiles of rows."""
    numbers, columns, flags = settings(a, 17)
    grid, logits, target = grid_of(a, first, last), place(a, 5), place(a, 10)
    predicted, rank = a[15], a[16]
    W, V, softcap = grid.lanes, grid.classes, number(scratch, numbers.softcap)
    y, keep, scale, top = scratch + Y * W, scratch + KEEP * W, scratch + SCALE * W, scratch + TOP * W
    index, z_y, above, block = scratch + Z * W, scratch + ZY * W, scratch + TOTAL * W, scratch + LANES_BLOCK * W
    by_index, mapped = target.kind == INT64, numbers.scale != 1 or columns.row_scale != 0
    across = (grid.inner + W - 1) // W
    for position in range(grid.first, grid.last):
        o, i = position // across, position % across * W
        lanes = min(W, grid.inner - i)
        width = min(W, (lanes + 15) // 16 * 16)
        row, start = o * grid.row_outer + i * grid.row_inner, start_of(logits, o, i)
        for lane in range(lanes):
            c = class_of(target, o, i + lane) if by_index else -1
            skipped = by_index and flags.has_skip != 0 and c == flags.skip
            if by_index and not skipped and (c < 0 or c >= V):
                return row + lane * grid.row_inner
            y[lane], keep[lane] = -1.0 if skipped else float(c), 0.0 if skipped else 1.0
        lane_vector(scale, lanes, columns.row_scale, row, grid.row_inner, numbers.scale)
        fill(top, width, -np.inf)
        fill(index, width, 0.0)
        fill(above, width, 0.0)
        for c in range(V):
            load_class(block, lanes, width, start, logits, c, keep, 0, scale, mapped, softcap)
            best_of(block, width, top, index, z_y, y, number(scratch, c))
        if by_index:
            for c in range(V):
                load_class(block, lanes, width, start, logits, c, keep, 0, scale, mapped, softcap)
                count_above(block, width, z_y, above)
        for lane in range(lanes):
            at, read = row + lane * grid.row_inner, keep[lane] != 0
            int64_at(predicted)[at] = int(index[lane]) if read else -1
            int64_at(rank)[at] = int(above[lane]) if read and by_index else -1
    return -1
