"""Typed addresses: what a kernel reads and writes.

A kernel gets plain integers from Python (``tensor.data_ptr()``), typed by its signature::

    p[i]        load element i, widened: float16 and bfloat16 give a float32
    p[i] = v    store, rounded to nearest even
    p + n       the address n elements further

Why not NumPy arrays: a view of a torch tensor costs 1-3 us per argument and bfloat16 has none; an
address costs 0.1 us. An address also has no negative indices, so no wrap-around test keeps a loop
scalar. Nothing here checks bounds.
"""

from __future__ import annotations

import operator

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.extending import (
    NativeValue,
    lower_builtin,
    models,
    register_model,
    type_callable,
    unbox,
)

from crossent.backends.cpu.elementary import Emit, intrinsic
from crossent.backends.cpu.layout import BFLOAT16, FLOAT16, FLOAT32, FLOAT64

_STORED = {
    "float32": ir.FloatType(),
    "float64": ir.DoubleType(),
    "float16": ir.HalfType(),
    "bfloat16": ir.IntType(16),
    "int64": ir.IntType(64),
}
_SIZE = {"float32": 4, "float64": 8, "float16": 2, "bfloat16": 2, "int64": 8}
_LOADED = {
    "float32": types.float32,
    "float64": types.float64,
    "float16": types.float32,
    "bfloat16": types.float32,
    "int64": types.int64,
}


class Pointer(types.Type):
    """The Numba type of an address of ``element``s; ``value`` is what loading one gives."""

    def __init__(self, element: str) -> None:
        self.element = element
        self.value = _LOADED[element]
        super().__init__(name=f"Pointer({element})")


float32_p = Pointer("float32")
float64_p = Pointer("float64")
float16_p = Pointer("float16")
bfloat16_p = Pointer("bfloat16")
int64_p = Pointer("int64")

# The storage types of tensors by compute type (``layout.stored_in`` says the same to Python).
STORAGE = {
    types.float32: {FLOAT32: float32_p, BFLOAT16: bfloat16_p, FLOAT16: float16_p},
    types.float64: {FLOAT64: float64_p},
}


def size_of(element):
    """Bytes of one stored element."""
    return _SIZE[element]


register_model(Pointer)(
    type(
        "PointerModel",
        (models.PrimitiveModel,),
        {
            "__init__": lambda self, manager, kind: models.PrimitiveModel.__init__(self, manager, kind, ir.IntType(64)),
        },
    )
)


@unbox(Pointer)
def _unbox_pointer(typ, obj, c):
    return NativeValue(c.pyapi.long_as_longlong(obj), is_error=cgutils.is_not_null(c.builder, c.pyapi.err_occurred()))


@type_callable(operator.getitem)
def _type_getitem(context):
    def typer(pointer, index):
        if isinstance(pointer, Pointer) and isinstance(index, types.Integer):
            return pointer.value
        return None

    return typer


@type_callable(operator.setitem)
def _type_setitem(context):
    def typer(pointer, index, value):
        if isinstance(pointer, Pointer) and isinstance(index, types.Integer):
            return types.none
        return None

    return typer


@type_callable(operator.add)
def _type_add(context):
    def typer(pointer, count):
        if isinstance(pointer, Pointer) and isinstance(count, types.Integer):
            return pointer
        return None

    return typer


def _address(builder, element, base, index, width):
    """``&base[index]`` as an LLVM pointer to ``width`` stored elements."""
    stored = _STORED[element]
    pointer = builder.gep(builder.inttoptr(base, ir.PointerType(stored)), [index], inbounds=True)
    return pointer if width == 1 else builder.bitcast(pointer, ir.PointerType(ir.VectorType(stored, width)))


def load_element(emit, element, base, index):
    """``emit.width`` elements from ``index`` on, in the float type of ``emit`` (widening is exact)."""
    return _widened(
        emit, element, emit.builder.load(_address(emit.builder, element, base, index, emit.width), align=_SIZE[element])
    )


def load_masked(emit, element, base, index, mask):
    """The same where ``mask`` is true; what lies elsewhere is not touched."""
    builder, vector = emit.builder, emit.shaped(_STORED[element])
    pointer = _address(builder, element, base, index, emit.width)
    signature = ir.FunctionType(vector, [pointer.type, ir.IntType(32), mask.type, vector])
    function = _masked(builder, "load", vector, signature)
    align, nothing = ir.Constant(ir.IntType(32), _SIZE[element]), ir.Constant(vector, ir.Undefined)
    return _widened(emit, element, builder.call(function, [pointer, align, mask, nothing]))


def _masked(builder, way, vector, signature):
    """LLVM's masked load or store of this vector type."""
    name = f"llvm.masked.{way}.v{vector.count}{vector.element.intrinsic_name}.p0"
    return builder.module.globals.get(name) or ir.Function(builder.module, signature, name)


def _widened(emit, element, value):
    """Stored values in the float type of ``emit``."""
    builder = emit.builder
    if element == "bfloat16":
        wide = emit.shaped(ir.IntType(32))
        value = builder.shl(builder.zext(value, wide), emit.splat(ir.Constant(ir.IntType(32), 16)))
        value = builder.bitcast(value, emit.shaped(ir.FloatType()))
    if value.type == emit.float:
        return value
    narrow = element == "float64"
    return builder.fptrunc(value, emit.float) if narrow else builder.fpext(value, emit.float)


def store_element(emit, element, base, index, value, past_caches=False):
    """Store ``emit.width`` values from ``index`` on, rounded to nearest even.

    Past the caches (64-byte aligned): a non-temporal store. An ordinary one reads its cache line from
    memory first, for nothing when the whole line is overwritten.
    """
    builder = emit.builder
    value = _rounded(emit, value, element)
    align = _SIZE[element] * emit.width if past_caches else _SIZE[element]
    store = builder.store(value, _address(builder, element, base, index, emit.width), align=align)
    if past_caches:
        store.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)]))


def store_masked(emit, element, base, index, value, mask):
    """``store_element`` where ``mask`` is true; what lies elsewhere is not touched."""
    builder, value = emit.builder, _rounded(emit, value, element)
    pointer = _address(builder, element, base, index, emit.width)
    signature = ir.FunctionType(ir.VoidType(), [value.type, pointer.type, ir.IntType(32), mask.type])
    function = _masked(builder, "store", value.type, signature)
    builder.call(function, [value, pointer, ir.Constant(ir.IntType(32), _SIZE[element]), mask])


def _rounded(emit, value, element):
    """Values of ``emit.float`` as what is stored for ``element``."""
    builder, single = emit.builder, emit.shaped(ir.FloatType())
    if element in ("bfloat16", "float16") and value.type != single:
        # Twice rounded; a double meets a 16-bit type only in the gradient to 16-bit probabilities.
        value = builder.fptrunc(value, single)
    if element == "bfloat16":
        return _bfloat16_bits(emit, value)
    stored = emit.shaped(_STORED[element])
    if stored == value.type:
        return value
    return builder.fpext(value, stored) if element == "float64" else builder.fptrunc(value, stored)


def _bfloat16_bits(emit, value):
    """Nearest bfloat16, ties to even; a NaN stays a NaN.

    Integer arithmetic and not vcvtneps2bf16, which flushes denormals: every machine gives the same bits.
    """
    builder, i32 = emit.builder, ir.IntType(32)

    def constant(number):
        return emit.splat(ir.Constant(i32, number))

    bits = builder.bitcast(value, emit.shaped(i32))
    odd = builder.and_(builder.lshr(bits, constant(16)), constant(1))
    nearest = builder.add(bits, builder.add(odd, constant(0x7FFF)))
    is_nan = builder.fcmp_unordered("uno", value, value)
    bits = builder.select(is_nan, constant(0x7FC00000), nearest)
    return builder.trunc(builder.lshr(bits, constant(16)), emit.shaped(ir.IntType(16)))


@lower_builtin(operator.getitem, Pointer, types.Integer)
def _lower_getitem(context, builder, sig, args):
    index = context.cast(builder, args[1], sig.args[1], types.int64)
    element = sig.args[0].element
    if element == "int64":
        return builder.load(_address(builder, element, args[0], index, 1))
    return load_element(Emit(builder, sig.args[0].value), element, args[0], index)


@lower_builtin(operator.setitem, Pointer, types.Integer, types.Any)
def _lower_setitem(context, builder, sig, args):
    pointer = sig.args[0]
    index = context.cast(builder, args[1], sig.args[1], types.int64)
    value = context.cast(builder, args[2], sig.args[2], pointer.value)
    if pointer.element == "int64":
        builder.store(value, _address(builder, "int64", args[0], index, 1))
    else:
        store_element(Emit(builder, pointer.value), pointer.element, args[0], index, value)
    return context.get_dummy_value()


@lower_builtin(operator.add, Pointer, types.Integer)
def _lower_add(context, builder, sig, args):
    size = _SIZE[sig.args[0].element]
    count = context.cast(builder, args[1], sig.args[1], types.int64)
    return builder.add(args[0], builder.mul(count, ir.Constant(ir.IntType(64), size)))


def _typed(pointer_type, name):
    """An intrinsic: an integer address as a pointer of ``pointer_type``."""

    def typed(typingctx, address):
        def codegen(context, builder, sig, args):
            return args[0]

        return pointer_type(types.int64), codegen

    typed.__name__ = name
    typed.__doc__ = f"An integer address as {pointer_type}."
    return intrinsic(typed)


float32_at = _typed(float32_p, "float32_at")
float64_at = _typed(float64_p, "float64_at")
float16_at = _typed(float16_p, "float16_at")
bfloat16_at = _typed(bfloat16_p, "bfloat16_at")
int64_at = _typed(int64_p, "int64_at")


@intrinsic
def pointer_at(typingctx, like, address):
    """An integer address as a pointer of the type of ``like``."""
    if not isinstance(like, Pointer):
        return None

    def codegen(context, builder, sig, args):
        return args[1]

    return like(like, types.int64), codegen


@intrinsic
def address_of(typingctx, pointer):
    """The integer behind a pointer."""

    def codegen(context, builder, sig, args):
        return args[0]

    return types.int64(pointer), codegen


def emit_prefetch(builder, address):
    """Ask for the 64-byte line at an integer address; any address is allowed."""
    byte_p = ir.PointerType(ir.IntType(8))
    signature = ir.FunctionType(ir.VoidType(), [byte_p] + [ir.IntType(32)] * 3)
    function = builder.module.declare_intrinsic("llvm.prefetch", [byte_p], signature)
    flags = [ir.Constant(ir.IntType(32), value) for value in (0, 2, 1)]  # read, keep in L2, data
    builder.call(function, [builder.inttoptr(address, byte_p), *flags])


@intrinsic
def prefetch_line(typingctx, address):
    """Ask for the 64-byte line at an integer address; any address is allowed."""

    def codegen(context, builder, sig, args):
        emit_prefetch(builder, args[0])
        return context.get_dummy_value()

    return types.none(types.int64), codegen


@intrinsic
def fence(typingctx):
    """Non-temporal stores before it are seen by other threads after it."""

    def codegen(context, builder, sig, args):
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.none(), codegen
