"""Short rows in and out of a tile: 16 rows at a time, transposed in registers.

A row of 10 classes does not fill a vector, so ``rows_inner`` works on one class of many rows at a time. Element by
element, getting there and back took 60% of the time of 65536 x 10 (1.8 cycles per element each way); here 16 rows
are loaded as vectors, turned by the 64 shuffles of Eklundh's scheme, and stored as vectors, or the reverse.
"""

from __future__ import annotations

from llvmlite import ir
from numba import njit
from numba.core import types

from crossent.backends.cpu.blocks import PART
from crossent.backends.cpu.elementary import Emit, intrinsic
from crossent.backends.cpu.places import item_bytes, kind_of
from crossent.backends.cpu.pointers import (
    STORAGE,
    Pointer,
    load_element,
    load_masked,
    size_of,
    store_element,
    store_masked,
)

_I32, _I64 = ir.IntType(32), ir.IntType(64)


def _turn(builder, rows):
    """Row k of the result is column k of ``rows``: off-diagonal blocks change places, smaller and smaller ones."""
    width, rows = len(rows), list(rows)
    block = width // 2
    while block:
        first = [lane if not lane & block else width + lane - block for lane in range(width)]
        second = [lane + block if not lane & block else width + lane for lane in range(width)]
        masks = [ir.Constant(ir.VectorType(_I32, width), order) for order in (first, second)]
        for low in (k for k in range(width) if not k & block):
            pair = rows[low], rows[low + block]
            rows[low], rows[low + block] = (builder.shuffle_vector(*pair, mask) for mask in masks)
        block //= 2
    return rows


def _columns(builder, emit, n):
    """True in the lanes of the columns that there are."""
    lanes = ir.Constant(ir.VectorType(_I32, emit.width), list(range(emit.width)))
    return builder.icmp_signed("<", lanes, emit.splat(builder.trunc(n, _I32)))


def _body_in(builder, emit, element, tile, lanes, address, n, stride):
    mask = _columns(builder, emit, n)
    starts = [builder.mul(stride, ir.Constant(_I64, row)) for row in range(emit.width)]
    rows = [load_masked(emit, element, address, start, mask) for start in starts]
    for c, values in enumerate(_turn(builder, rows)):
        with builder.if_then(builder.icmp_signed("<", ir.Constant(_I64, c), n)):
            at = builder.mul(lanes, ir.Constant(_I64, c))
            store_element(emit, _name(emit), tile, at, values)


def _body_out(builder, emit, element, tile, lanes, address, n, stride):
    mask = _columns(builder, emit, n)
    last = builder.sub(n, ir.Constant(_I64, 1))
    columns = []
    for c in range(emit.width):  # what lies beyond the last column is not written; it is read for nothing
        c = ir.Constant(_I64, c)
        column = builder.select(builder.icmp_signed("<", c, n), c, last)
        columns.append(load_element(emit, _name(emit), tile, builder.mul(lanes, column)))
    for row, values in enumerate(_turn(builder, columns)):
        store_masked(emit, element, address, builder.mul(stride, ir.Constant(_I64, row)), values, mask)


def _name(emit):
    return "float32" if emit.kind == types.float32 else "float64"


def _intrinsic(name, body, doc):
    def typed(typingctx, tile, lanes, address, n, kind, stride):
        if not isinstance(tile, Pointer):
            return None

        def codegen(context, builder, sig, args):
            function = _function(builder.module, name, body, tile)
            builder.call(function, args)
            return context.get_dummy_value()

        return types.none(tile, *[types.int64] * 5), codegen

    typed.__name__, typed.__doc__ = name, doc
    return intrinsic(typed)


def _function(module, name, body, tile):
    """One LLVM function per compute type, with a switch over storage types."""
    full = f"crossent.{name}.{tile.element}"
    if full in module.globals:
        return module.globals[full]
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [_I64] * 6), full)
    function.linkage = "linkonce_odr"
    function.attributes.add("noinline")
    function.attributes.add("nounwind")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    pointer, lanes, address, n, kind, stride = function.args
    nowhere = function.append_basic_block("unreachable")
    switch = builder.switch(kind, nowhere)
    for value, storage in STORAGE[tile.value].items():
        builder.position_at_end(block := function.append_basic_block(storage.element))
        switch.add_case(ir.Constant(_I64, value), block)
        emit = Emit(builder, tile.value, 64 // size_of(tile.element))
        body(builder, emit, storage.element, pointer, lanes, address, n, stride)
        builder.ret_void()
    builder.position_at_end(nowhere)
    builder.unreachable()
    return function


rows_in = _intrinsic(
    "rows_in",
    _body_in,
    "tile[c * lanes + row] = element c of row ``row`` for c < n <= 16 and 16 rows (8 and 8 in float64) that begin "
    "``stride`` elements apart at ``address``.",
)
rows_out = _intrinsic("rows_out", _body_out, "The reverse of ``rows_in``, rounded once.")


@njit(**PART)
def by_rows(tile, place, count):
    """Whether rows of this tensor lie one class beside the other, and fill whole vectors of the tile."""
    return place.across == 1 and place.inner != 1 and count % (64 // item_bytes(kind_of(tile))) == 0


@njit(**PART)
def load_rows(tile, grid, start, place, count):
    """``count`` rows, of which :func:`by_rows` is true, as the columns of a tile."""
    wide, item = 64 // item_bytes(kind_of(tile)), item_bytes(place.kind)
    for lane in range(0, count, wide):
        for c in range(0, grid.classes, wide):
            at, n = start + (lane * place.inner + c) * item, min(wide, grid.classes - c)
            rows_in(tile + (c * grid.lanes + lane), grid.lanes, at, n, place.kind, place.inner)


@njit(**PART)
def store_rows(tile, grid, start, place, count):
    """The reverse of ``load_rows``, rounded once."""
    wide, item = 64 // item_bytes(kind_of(tile)), item_bytes(place.kind)
    for lane in range(0, count, wide):
        for c in range(0, grid.classes, wide):
            at, n = start + (lane * place.inner + c) * item, min(wide, grid.classes - c)
            rows_out(tile + (c * grid.lanes + lane), grid.lanes, at, n, place.kind, place.inner)
