"""What is done to one block of a row: the words the row kernels are written in.

A block is up to ``BLOCK`` classes of one row (or one class of up to ``LANES`` rows) in L1, in the compute
type, padded so that no loop over it has a remainder. Every loop does one thing; between two of them
the block stays in L1, so an option that is off costs nothing and one that is on about 1 ns per 16
elements (exp: 3 ns; reading them from memory: 4 ns). That is why options need no kernels of their own.
"""

from __future__ import annotations

from numba import njit

from crossent.backends.cpu.pointers import prefetch_line
from crossent.backends.cpu.vector import exp, loop, soon, tanh, where

# How kernels (called by address: cache.py) and functions that only they call are compiled. PART: laid into
# its caller (each level of calls optimises what it calls once more: 6 s for one kernel without).
KERNEL = {"error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
INNER = {"error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
PART = {**INNER, "inline": "always"}


# ---- one row


@njit(**PART)
def cross_entropy(mass, log_sum, dot):
    """mass * log_sum - dot; ``stats.cross_entropy`` says why an infinite mass is a case of its own."""
    if mass - mass == 0:
        return mass * log_sum - dot
    far = dot if mass > 0 else -dot
    return mass * (log_sum - (far if far == far else 0.0))


# ---- memory <-> block


@loop(tops=1, load="source")
def load(block, source):
    """block = source in the compute type; its maximum (a NaN does not count)."""
    x = source[...]
    block[...] = x
    return x


@loop(store="target")
def store(block, target, factor, shift):
    """target = block * factor - shift, rounded once.

    Past the caches, whole lines are not read before they are written: 0.8 of the time for a warm
    2048 x 128256. (A second store to a line already sent off costs a round trip to memory; so the
    target column is corrected in the block: 16384 x 1000: 6.5 against 11.5 ns per 16 elements.)
    """
    target[...] = block[...] * factor - shift


@loop(tops=1, load="source")
def top_of(like, source):
    """The maximum of tensor memory (a NaN does not count)."""
    return source[...]


@loop(sums=1, load="source")
def exp_from(block, source, ref, ahead, step):
    """block = exp(source - ref), and its sum; meanwhile memory is asked for."""
    soon(ahead, step)
    e = exp(source[...] - ref)
    block[...] = e
    return e


@loop(sums=1, load="source")
def sum_exp_from(like, source, ref, ahead, step):
    """sum exp(source - ref); meanwhile memory is asked for."""
    soon(ahead, step)
    return exp(source[...] - ref)


@njit(**INNER)
def prefetch(address, count_bytes):
    """Ask for memory that the next block will read, while this one is being worked on."""
    for offset in range(0, count_bytes, 64):
        prefetch_line(address + offset)


# ---- one block


@loop
def fill(block, value):
    block[...] = value


@loop
def copy(block, source):
    block[...] = source[...]


@loop(tops=1)
def scale_z(block, scale):
    """z = scale * x, and its maximum."""
    z = block[...] * scale
    block[...] = z
    return z


@loop(tops=1, load="source")
def cap_from(block, source, inside, softcap):
    """z = softcap * tanh(inside * x), inside = scale / softcap; its maximum."""
    z = tanh(source[...] * inside) * softcap
    block[...] = z
    return z


@loop(sums=2, load="source")
def dot_from(block, source, top, on, off, ahead, step):
    """sum q (block - top), sum q of q = on * source + off; meanwhile memory is asked for."""
    soon(ahead, step)
    q = source[...] * on + off
    return q * (block[...] - top), q


@loop(load="source")
def combine_from(block, source, soft, on, off):
    """block = soft * block - (on * source + off)."""
    block[...] = block[...] * soft - (source[...] * on + off)


@loop(store="target")
def store_sloped(block, target, z, factor, shift, scale, inverse):
    """target = (block * factor - shift) dz/dx, dz/dx = scale * (1 - (z / softcap)^2)."""
    t = z[...] * inverse
    target[...] = (block[...] * factor - shift) * (scale * (1.0 - t * t))


@loop
def times_slope(block, z, scale, inverse):
    """block *= dz/dx = scale * (1 - (z / softcap)^2)."""
    t = z[...] * inverse
    block[...] = block[...] * (scale * (1.0 - t * t))


@loop(sums=1)
def exp_sum(block, z, top, ahead, step):
    """block = exp(z - top), and its sum (``z`` may be the block); meanwhile memory is asked for."""
    soon(ahead, step)
    e = exp(z[...] - top)
    block[...] = e
    return e


@loop(sums=1)
def sum_exp(block, top, ahead, step):
    """sum exp(block - top); the block is kept; meanwhile memory is asked for."""
    soon(ahead, step)
    return exp(block[...] - top)


@loop(sums=1)
def tilt_sum(block, top):
    """sum exp(z - top) (z - top), a term being 0 where exp is."""
    shifted = block[...] - top
    e = exp(shifted)
    return where("==", e, 0.0, 0.0, e * shifted)


@loop(sums=1)
def sum_shifted(block, top):
    """sum (block - top)."""
    return block[...] - top


@loop(sums=2)
def dot_shifted(block, q, top):
    """sum q (block - top), sum q."""
    weight = q[...]
    return weight * (block[...] - top), weight


@loop
def affine(block, factor, shift):
    """block = block * factor + shift."""
    block[...] = block[...] * factor + shift


@loop
def multiply(block, w):
    """block *= w."""
    block[...] = block[...] * w[...]


@loop
def combine(block, q, soft, hard):
    """block = soft * block - hard * q."""
    block[...] = block[...] * soft - q[...] * hard


@loop
def bend_by(block, z, top, soft, bend):
    """block *= soft + bend * (z - top), 0 where the block is."""
    p = block[...]
    block[...] = where("==", p, 0.0, 0.0, p * (soft + bend * (z[...] - top)))


@loop(sums=1)
def dot_finite(block, x):
    """sum block * x over finite x."""
    value = x[...]
    zero = value - value  # NaN where x is not finite
    return where("==", zero, 0.0, block[...] * value, where("==", value, value, 0.0, value))


@loop
def surprise(block, z, top, log_sum, factor):
    """block = factor * (log_sum - (z - top)), factor times -log softmax."""
    block[...] = factor * (log_sum - (z[...] - top))


@loop(sums=1)
def sum_of(block):
    """sum block."""
    return block[...]


@loop(sums=2)
def above_and_nan(block, z_y):
    """How many of the block are greater than z_y, and how many are NaN (exact: a block is short)."""
    z = block[...]
    return where(">", z, z_y, 1.0, 0.0), where("==", z, z, 0.0, 1.0)
