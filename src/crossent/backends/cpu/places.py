"""The tuples of ``layout.py`` in kernels, and addresses made from them.

A kernel is called with one address of packed 64-bit words (``layout.pack``), whatever it takes.
"""

from __future__ import annotations

from numba import njit

from crossent.backends.cpu.blocks import INNER, PART
from crossent.backends.cpu.elementary import number
from crossent.backends.cpu.layout import (
    BFLOAT16,
    FLOAT16,
    FLOAT32,
    FLOAT64,
    PAD,
    Columns,
    Flags,
    Given,
    Grid,
    Numbers,
    Place,
)
from crossent.backends.cpu.pointers import address_of, float64_at, int64_at, pointer_at


@njit(**PART)
def place(a, k):
    """The Place at words k .. k + 5 of packed arguments."""
    return Place(a[k], a[k + 1], a[k + 2], a[k + 3], a[k + 4])


@njit(**PART)
def grid_of(a, first, last):
    """The Grid at the start of packed arguments, for the rows or tiles first .. last."""
    return Grid(first, last, a[0], a[1], a[2], a[3], a[4])


@njit(**PART)
def given_of(a, k):
    """The Given at word k."""
    return Given(a[k], a[k + 1], a[k + 2], a[k + 3], a[k + 4], a[k + 5])


@njit(**PART)
def settings(a, k):
    """Columns, Flags and Numbers from word k on."""
    d = float64_at(address_of(a)) + (k + 7)
    columns, flags = Columns(a[k], a[k + 1], a[k + 2]), Flags(a[k + 3], a[k + 4], a[k + 5], a[k + 6])
    return Numbers(d[0], d[1], d[2], d[3], d[4], d[5]), columns, flags


@njit(**INNER)
def item_bytes(kind):
    """Bytes of an element of storage type ``kind``."""
    if kind == FLOAT32:
        return 4
    if kind in (BFLOAT16, FLOAT16):
        return 2
    return 8


@njit(**INNER)
def start_of(place, o, i):
    """Address of class 0 of row (o, i)."""
    return place.address + (o * place.outer + i * place.inner) * item_bytes(place.kind)


@njit(**INNER)
def padded(n):
    """n rounded up to a multiple of PAD."""
    return (n + PAD - 1) // PAD * PAD


@njit(**INNER)
def max_of(a, b):
    """max(a, b), b where a is NaN."""
    return a if a > b else b


@njit(**INNER)
def class_of(target, o, i):
    """Index target of row (o, i)."""
    return int64_at(target.address)[o * target.outer + i * target.inner]


@njit(**INNER)
def of_row(like, address, row, default):
    """Element ``row`` of a vector in the compute type, ``default`` where there is none."""
    return pointer_at(like, address)[row] if address != 0 else number(like, default)


@njit(**INNER)
def kind_of(like):
    """Storage type of vectors in the compute type, ``like`` being a pointer to one."""
    return FLOAT32 if number(like, 16777217.0) == 16777216.0 else FLOAT64
