"""The tuples of ``layout.py`` as Numba types, and addresses made from them."""

from __future__ import annotations

from numba import njit
from numba.core import types

from crossent.backends.cpu.blocks import INNER
from crossent.backends.cpu.elementary import number
from crossent.backends.cpu.layout import BFLOAT16, FLOAT16, FLOAT32, FLOAT64, PAD, Columns, Flags, Given, Grid, Numbers, Place
from crossent.backends.cpu.pointers import int64_at, pointer_at


def typed(kind: type, number: types.Type) -> types.NamedUniTuple:
    """The Numba type of one of the tuples above."""
    return types.NamedUniTuple(number, len(kind._fields), kind)


PLACE, GRID = typed(Place, types.int64), typed(Grid, types.int64)
NUMBERS = typed(Numbers, types.float64)
COLUMNS, FLAGS, GIVEN = typed(Columns, types.int64), typed(Flags, types.int64), typed(Given, types.int64)


@njit(**INNER)
def item_bytes(kind):
    """Bytes of an element of storage type ``kind``."""
    if kind == FLOAT32:
        return 4
    if kind == BFLOAT16 or kind == FLOAT16:
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
