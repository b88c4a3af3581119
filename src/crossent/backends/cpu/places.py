"""The tuples of ``layout.py`` as Numba types, and addresses made from them."""

from __future__ import annotations

from numba.core import types

from crossent.backends.cpu.blocks import inner
from crossent.backends.cpu.layout import BFLOAT16, FLOAT16, FLOAT32, Columns, Flags, Given, Grid, Numbers, Place


def typed(kind: type, number: types.Type) -> types.NamedUniTuple:
    """The Numba type of one of the tuples above."""
    return types.NamedUniTuple(number, len(kind._fields), kind)


PLACE, GRID = typed(Place, types.int64), typed(Grid, types.int64)
NUMBERS = typed(Numbers, types.float64)
COLUMNS, FLAGS, GIVEN = typed(Columns, types.int64), typed(Flags, types.int64), typed(Given, types.int64)


@inner
def item_bytes(kind):
    """Bytes of an element of storage type ``kind``."""
    if kind == FLOAT32:
        return 4
    if kind == BFLOAT16 or kind == FLOAT16:
        return 2
    return 8


@inner
def start_of(place, o, i):
    """Address of class 0 of row (o, i)."""
    return place.address + (o * place.outer + i * place.inner) * item_bytes(place.kind)


