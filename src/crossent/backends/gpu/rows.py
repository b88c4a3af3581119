"""What every row kernel is made of: where rows lie, the map of z, and the statistics of ``stats.py`` on a tile.

A program works on ``ROWS`` rows ("lanes") at once, in tiles ``(ROWS, C)`` of classes. Statistics are tuples
``(max, sum, dot, mass, tilt)`` with ``sum = sum exp(z - max)``; :func:`merge` joins two of them, :func:`joined` all of
one axis, and they mean what ``stats.merge`` means. Until a finite maximum is known (``max = -inf``) everything is
relative to 0, so that -inf - -inf is never formed; ``dot`` and ``tilt`` of such a side are 0, -inf or NaN, which no
shift changes.
"""

from __future__ import annotations

import triton
import triton.language as tl

# Which target row q a kernel works with.
ONE_CLASS = tl.constexpr(0)  # q is on * w_y at the target and 0 elsewhere: nothing is summed over classes
SMOOTHED = tl.constexpr(1)  # off * w_c everywhere, and on * w_y on top at the target
SPELLED_OUT = tl.constexpr(2)  # w_c * (on * p_c + off)
NO_TARGET = tl.constexpr(3)  # log_softmax
# Which map of z.
SCALED = tl.constexpr(1)
CAPPED = tl.constexpr(2)


@triton.jit
def number(value, WIDE: tl.constexpr):
    """A number of the call: a float32 argument, or the 64 bits of a float64 (arguments have no such type)."""
    return value.to(tl.int64).to(tl.float64, bitcast=True) if WIDE else value


@triton.jit
def widened(x, WIDE: tl.constexpr):
    """In the compute dtype."""
    return x.to(tl.float64) if WIDE else x.to(tl.float32)


@triton.jit
def lanes_of_program(lanes, by_outer, by_lane, ROWS: tl.constexpr):
    """(outer, lane, whether there is one, where its numbers are): all (ROWS,) but the first."""
    per_outer = tl.cdiv(lanes, ROWS)
    program = tl.program_id(0)
    outer = (program // per_outer).to(tl.int64)
    lane = (program % per_outer) * ROWS + tl.arange(0, ROWS)
    return outer, lane, lane < lanes, outer * by_outer + lane.to(tl.int64) * by_lane


@triton.jit
def start_of(base, outer, lane, by_outer, by_lane, ROWS: tl.constexpr):
    """Pointers to class 0 of each row, (ROWS, 1), or one pointer; 64-bit offsets."""
    if ROWS == 1:
        start = base + outer * by_outer + tl.sum(lane).to(tl.int64) * by_lane
    else:
        start = (base + outer * by_outer + lane.to(tl.int64) * by_lane)[:, None]
    return start


@triton.jit
def body_of(start, classes, EDGE: tl.constexpr):
    """(head, body): how many classes lie before the first 16-byte boundary of a row, and how many from there to the
    last one. A row of any length is so read in full vectors; at most 2 * EDGE - 2 classes are left (:func:`edges`)."""
    if EDGE > 0:
        item: tl.constexpr = 16 // EDGE
        address = start.to(tl.int64)  # EDGE is asked for with ROWS = 1
        head = tl.minimum(((16 - (address & 15)) & 15).to(tl.int32) // item, classes)
        return head, (classes - head) // EDGE * EDGE
    else:
        return 0, classes


@triton.jit
def from_boundary(start, by_class, head, EDGE: tl.constexpr, ALIGNED: tl.constexpr):
    """Pointers ``head`` classes further on, which the compiler may take for 16-byte boundaries if ALIGNED."""
    moved = start + head * by_class
    if EDGE > 0 and ALIGNED:
        moved = tl.multiple_of(moved, 16)
    return moved


@triton.jit
def edges(head, body, classes, EDGE: tl.constexpr):
    """The classes before and behind the body, counted from its start: (1, 2 * EDGE) and which of them exist."""
    at = tl.arange(0, 2 * EDGE)[None, :]
    column = tl.where(at < EDGE, at - EDGE, body + at - EDGE)
    return column, (column < classes - head) & (column >= -head) & ((at < EDGE) | (column >= body))


@triton.jit
def is_first_part(ROWS: tl.constexpr):
    """Whether this program does what a row needs once. (ROWS,): Triton's interpreter takes no comparison of scalars
    for a mask."""
    return tl.program_id(1) + tl.zeros((ROWS,), tl.int32) == 0


@triton.jit
def tanh(u, WIDE: tl.constexpr):
    """To a few units in the last place, also near 0, where 1 - 2 / (exp(2u) + 1) cancels."""
    size = tl.abs(u)
    far = 1.0 - 2.0 / (tl.exp(2.0 * size) + 1.0)
    s = size * size
    if WIDE:
        # Lambert's fraction u / (1 + s / (3 + s / (5 + ...))), nine terms of it, as u - u s n / q: to 0.6 units.
        n = 11486475.0 + s * (810810.0 + s * (12870.0 + s * 44.0))
        q = 34459425.0 + s * (16216200.0 + s * (945945.0 + s * (13860.0 + s * 45.0)))
        near = size - size * s * (n / q)
    else:
        # Fitted to (tanh(u) / u - 1) / u^2 on [0, 0.625]: tanh to 5e-9.
        near = size + size * s * (
            -0.33333283 + s * (0.13331465 + s * (-0.0537414 + s * (0.02064413 + s * -0.00571022)))
        )
    return tl.where(size < 0.625, near, far) * tl.where(u < 0.0, -1.0, 1.0)


@triton.jit
def mapped(x, factor, cap, MAP: tl.constexpr, WIDE: tl.constexpr):
    """z = cap * tanh(factor * x / cap), or factor * x, or x."""
    z = x
    if MAP > 0:
        z = x * factor
    if MAP == CAPPED:
        z = cap * tanh(z / cap, WIDE)
    return z


@triton.jit
def factor_of(scale, row_scale, numbers, inside):
    """logit_scale of each row: (ROWS, 1)."""
    factor = scale
    if row_scale is not None:
        factor = tl.load(row_scale + numbers, inside, other=0.0)[:, None]
    return factor


@triton.jit
def shares(start, weight, column, by_class, inside, on, off, Q: tl.constexpr, WIDE: tl.constexpr):
    """q of a tile without what SMOOTHED adds at the target. ``start``: of the probabilities; ``weight``: moved to the
    column counted as 0, or None."""
    if Q == SPELLED_OUT:
        q = on * widened(tl.load(start + column * by_class, inside, other=0.0), WIDE) + off
    else:
        q = tl.where(inside, off, 0.0)
    if weight is not None:
        q = q * tl.load(weight + column, inside, other=0.0)
    return q


# ---- statistics ---------------------------------------------------------------------------------


@triton.jit
def finite(top):
    """What numbers are relative to: the maximum, or 0 as long as there is none."""
    return tl.where(top == float("-inf"), 0.0, top)


@triton.jit
def shift(own, top):
    """How far a side moves when the maximum becomes ``top``."""
    return tl.where(own == float("-inf"), 0.0, own - top)


@triton.jit
def moved(mass, down):
    """What ``down`` adds to a dot: nothing where a side stays, also where its mass is infinite."""
    return tl.where(down == 0.0, 0.0, mass * down)


@triton.jit
def of_tile(z, q, inside, DOT: tl.constexpr, TILT: tl.constexpr):
    """The statistics of each row of a tile. z is -inf where no class is; NaN spoils ``sum``."""
    top = tl.max(z, 1)
    far = z - finite(top)[:, None]
    e = tl.exp(far)
    none = tl.zeros_like(top)
    dot, mass, tilt = none, none, none
    if DOT:
        dot, mass = tl.sum(tl.where(inside, q * far, 0.0), 1), tl.sum(tl.where(inside, q, 0.0), 1)
    if TILT:
        tilt = tl.sum(tl.where(e == 0.0, 0.0, e * far), 1)
    return top, tl.sum(e, 1), dot, mass, tilt


@triton.jit
def merge(a, b, DOT: tl.constexpr, TILT: tl.constexpr):
    """The statistics of two disjoint sets of classes together (``stats.merge``)."""
    top = tl.maximum(a[0], b[0])
    down_a, down_b = shift(a[0], top), shift(b[0], top)
    part_a, part_b = tl.exp(down_a), tl.exp(down_b)
    dot, mass, tilt = a[2], a[3], a[4]
    if DOT:
        dot, mass = (a[2] + moved(a[3], down_a)) + (b[2] + moved(b[3], down_b)), a[3] + b[3]
    if TILT:
        tilt = part_a * (a[4] + a[1] * down_a) + part_b * (b[4] + b[1] * down_b)
    return top, a[1] * part_a + b[1] * part_b, dot, mass, tilt


@triton.jit
def joined(a, ROWS: tl.constexpr, DOT: tl.constexpr, TILT: tl.constexpr):
    """All statistics of one row (ROWS of equal length in a row) together, in one order: the result is deterministic."""
    parts: tl.constexpr = a[0].numel // ROWS
    own = tl.reshape(a[0], (ROWS, parts))
    top = tl.max(own, 1)
    down = shift(own, top[:, None])
    sum, part = tl.reshape(a[1], (ROWS, parts)), tl.exp(down)
    none = tl.zeros_like(top)
    dot, mass, tilt = none, none, none
    if DOT:
        each = tl.reshape(a[3], (ROWS, parts))
        dot, mass = tl.sum(tl.reshape(a[2], (ROWS, parts)) + moved(each, down), 1), tl.sum(each, 1)
    if TILT:
        tilt = tl.sum(part * (tl.reshape(a[4], (ROWS, parts)) + sum * down), 1)
    return top, tl.sum(sum * part, 1), dot, mass, tilt


@triton.jit
def nothing(like, count: tl.constexpr):
    """The statistics of no class."""
    none = tl.zeros((count,), like)
    return none - float("inf"), none, none, none, none


@triton.jit
def log_of_sum(a):
    """log_sum; NaN where every class is -inf."""
    return tl.where(a[0] == float("-inf"), float("nan"), tl.log(a[1]))


@triton.jit
def target_of(z, share, read):
    """The statistics of the target's class alone, where nothing is exponentiated: its term is in the sum already."""
    none = tl.zeros_like(z)
    top = tl.where(read, z, float("-inf"))
    dot = tl.where(read, moved(share, z - finite(z)), 0.0)
    return top, none, dot, tl.where(read, share, 0.0), none
