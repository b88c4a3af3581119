"""Vector loops over one class of many rows: the words of ``rows_inner.py``.

Each row has a lane. Vectors such as ``top`` or ``total`` hold one number per lane; ``block`` is one class of
all lanes. ``y`` is the target class per lane as a float (-1: none), compared with the class at hand:
cheaper than a gather, and the target needs no second visit.
"""

from __future__ import annotations

from crossent.backends.cpu.downward import class_number, down, soon
from crossent.backends.cpu.vector import exp, larger, log, loop, tanh, where


@loop(load="source")
def fetch(block, source):
    """block = source in the compute type."""
    block[...] = source[...]


@loop
def mask(block, keep):
    """0 where ``keep`` is."""
    block[...] = where("==", keep[...], 0.0, 0.0, block[...])


@loop
def scale_lanes(block, scale):
    """z = scale * x."""
    block[...] = block[...] * scale[...]


@loop
def cap_lanes(block, scale, inverse, softcap):
    """z = softcap * tanh(scale * x / softcap)."""
    block[...] = tanh(block[...] * scale[...] * inverse) * softcap


@down(load="source")
def fetch_tops(tile, source, top):
    """tile = source in the compute type, taken into the maximum."""
    z = source[...]
    tile[...] = z
    top[...] = larger(z, top[...])


@down
def raise_tops(tile, top):
    """Take the classes into the maximum."""
    top[...] = larger(tile[...], top[...])


@loop
def reference(ref, top):
    """What exponentials are taken against: the maximum, or 0 where all classes are -inf."""
    best = top[...]
    ref[...] = where("==", best, float("-inf"), 0.0, best)


@down
def exp_sums(tile, ref, total, ahead, step, item):
    """tile = exp(tile - ref), added to ``total``; meanwhile memory is asked for."""
    soon(ahead, step, item)
    e = exp(tile[...] - ref[...])
    tile[...] = e
    total[...] = total[...] + e


@down
def exp_totals(tile, ref, total):
    """exp(tile - ref) added to ``total``; the tile is kept."""
    total[...] = total[...] + exp(tile[...] - ref[...])


@loop
def tilt_add(block, ref, tilt):
    """exp(z - ref) (z - ref) added to ``tilt``, 0 where exp is."""
    shifted = block[...] - ref[...]
    e = exp(shifted)
    tilt[...] = tilt[...] + where("==", e, 0.0, 0.0, e * shifted)


@loop
def shifted_add(block, ref, dot, w):
    """w (z - ref) added to ``dot``, one w for all lanes."""
    dot[...] = dot[...] + (block[...] - ref[...]) * w


@loop
def dot_add(block, ref, q, dot, mass):
    """q (z - ref) added to ``dot``, q to ``mass``."""
    weight = q[...]
    dot[...] = dot[...] + weight * (block[...] - ref[...])
    mass[...] = mass[...] + weight


@loop
def flush(total, part):
    """total += part; part = 0."""
    total[...] = total[...] + part[...]
    part[...] = 0.0


@loop
def log_lanes(log_sum, total, top):
    """log_sum = log(total), NaN where all classes are -inf; a NaN among the classes goes into ``top`` too."""
    best, s = top[...], total[...]
    log_sum[...] = log(where("==", best, float("-inf"), float("nan"), s))
    top[...] = where("==", s, s, best, where("<", best, float("inf"), s, best))


@loop
def own_term(dot, mass, z_y, top, own, y, on):
    """Add the target's term, on * w_y: on w_y (z_y - max) to ``dot``, on w_y to ``mass``; nothing where y is -1."""
    w = own[...] * on
    term = w * (z_y[...] - top[...])
    dot[...] = dot[...] + where("<", y[...], 0.0, 0.0, term)
    mass[...] = mass[...] + w


@loop
def row_value(loss, mass, log_sum, dot):
    """The cross entropy; ``stats.cross_entropy`` says why an infinite mass is a case of its own."""
    m, s, d = mass[...], log_sum[...], dot[...]
    far = where("==", d, d, where(">", m, 0.0, d, d * -1.0), 0.0)
    loss[...] = where("==", m - m, 0.0, m * s - d, m * (s - far))


@loop
def add_z_loss(loss, top, log_sum, z_loss):
    lse = top[...] + log_sum[...]
    loss[...] = loss[...] + z_loss * lse * lse


@loop
def coefficients(soft, hard, mass, top, log_sum, total, bend):
    """soft = hard (mass + bend (max + log_sum)) / sum of exponentials, bend = 2 z_loss."""
    soft[...] = hard[...] * (mass[...] + bend * (top[...] + log_sum[...])) / total[...]


@loop
def plain_coefficients(soft, hard, mass, total):
    """The same without z_loss (0 * inf must not enter)."""
    soft[...] = hard[...] * mass[...] / total[...]


@down(store="target")
def gradients_out(tile, target, soft, own, y):
    """target = soft e - [c == y] own, the plain gradient straight to memory."""
    target[...] = tile[...] * soft[...] - where("==", y[...], class_number(tile), own[...], 0.0)


@down
def gradients_in(tile, soft, own, y):
    """The same in the tile."""
    tile[...] = tile[...] * soft[...] - where("==", y[...], class_number(tile), own[...], 0.0)


@loop
def gradient_off(block, soft, hard, own, y, c, off):
    """block = soft e - (own where c == y, else hard off)."""
    block[...] = block[...] * soft[...] - where("==", y[...], c, own[...], hard[...] * off)


@loop
def gradient_q(block, soft, hard, q):
    """block = soft e - hard q."""
    block[...] = block[...] * soft[...] - hard[...] * q[...]


@loop
def minus_product(block, hard, q):
    """block -= hard q."""
    block[...] = block[...] - hard[...] * q[...]


@loop
def minus_own(block, hard, own, y, c, off):
    """block -= own where c == y, else hard off."""
    block[...] = block[...] - where("==", y[...], c, own[...], hard[...] * off)


@loop
def slope_lanes(block, z, scale, inverse):
    """block *= dz/dx = scale (1 - (z / softcap)^2)."""
    t = z[...] * inverse
    block[...] = block[...] * (scale[...] * (1.0 - t * t))


@loop
def bend_lanes(block, z, top, soft, bend):
    """block *= soft + bend (z - max), 0 where the block is."""
    p = block[...]
    block[...] = where("==", p, 0.0, 0.0, p * (soft[...] + bend[...] * (z[...] - top[...])))


@loop
def exp_lanes(block, top, shrink):
    """block = softmax = exp(block - max) / sum."""
    block[...] = exp(block[...] - top[...]) * shrink[...]


@loop
def inverse_exp(shrink, log_sum):
    """shrink = exp(-log_sum)."""
    shrink[...] = exp(log_sum[...] * -1.0)


@loop
def to_scale(total, block, x):
    """block * x added to ``total``, 0 where x is infinite."""
    value = x[...]
    term = where("==", value - value, 0.0, block[...] * value, where("==", value, value, 0.0, value))
    total[...] = total[...] + term


@loop
def surprise_lanes(block, z, top, log_sum, factor, w):
    """block = factor w (log_sum - (z - max))."""
    block[...] = factor[...] * w * (log_sum[...] - (z[...] - top[...]))


@loop
def times(block, by):
    """block *= by."""
    block[...] = block[...] * by[...]


@loop
def divide(block, by):
    """block /= by."""
    block[...] = block[...] / by[...]


@loop
def add_to(total, block):
    """total += block."""
    total[...] = total[...] + block[...]


@loop
def log_probs_of(block, top, log_sum):
    """block = (z - max) - log_sum: in this order, for logits near 1e4."""
    block[...] = (block[...] - top[...]) - log_sum[...]


@loop
def pull(block, upstream, total):
    """block = g - softmax sum g, from block = log softmax."""
    block[...] = upstream[...] - exp(block[...]) * total[...]


@loop
def best_of(block, top, index, z_y, y, c):
    """``meet`` that also keeps the first class of the maximum; a NaN counts as the largest, as in torch."""
    z, best = block[...], top[...]
    found = where("==", best, best, where("==", z, z, where(">", z, best, 1.0, 0.0), 1.0), 0.0)
    top[...] = where(">", found, 0.0, z, best)
    index[...] = where(">", found, 0.0, c, index[...])
    z_y[...] = where("==", y[...], c, z, z_y[...])


@loop
def count_above(block, z_y, rank):
    """rank += [z > z_y]."""
    rank[...] = rank[...] + where(">", block[...], z_y[...], 1.0, 0.0)
