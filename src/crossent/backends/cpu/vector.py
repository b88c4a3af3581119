"""Loops over 64-byte vectors, written as the body of one step.

    @loop(sums=1)
    def exp_sum(block, top):
        e = exp(block[...] - top)
        block[...] = e
        return e

is a function ``exp_sum(block, n, top)`` for kernels: block[j] = exp(block[j] - top) for j < n, and the sum.
The body is traced with vectors of 16 floats (8 doubles) and once more with scalars for what remains
of n, and becomes one LLVM function per combination of argument types.

Why not plain Numba loops: LLVM's vectoriser needs fast-math flags to touch a sum or a maximum (flags
that also let it turn ``sum(x - top)`` into ``sum(x) - n * top``), declines loops with non-temporal stores
or prefetches, and took 11 s to compile one kernel that uses twenty loops; this takes 1 s. Here
nothing is left to its judgement, and every operation is IEEE: NaN and infinity come out as written.
"""

from __future__ import annotations

import functools
import inspect
from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types

from crossent.backends.cpu import elementary
from crossent.backends.cpu.pointers import STORAGE, Pointer, emit_prefetch, load_element, size_of, store_element

UNROLL = 4  # independent vectors per step: hides the latency of add and fma
_I64 = ir.IntType(64)


class Wide:
    """The value of an expression in a body: a vector of the compute type, or a scalar in the remainder."""

    def __init__(self, emit, value):
        self.emit, self.value = emit, value

    def _binary(self, other, name, swap=False):
        a, b = self.value, self.emit.wide(other)
        return Wide(self.emit, getattr(self.emit.builder, name)(*((b, a) if swap else (a, b))))

    def __add__(self, other):
        return self._binary(other, "fadd")

    def __radd__(self, other):
        return self._binary(other, "fadd", swap=True)

    def __sub__(self, other):
        return self._binary(other, "fsub")

    def __rsub__(self, other):
        return self._binary(other, "fsub", swap=True)

    def __mul__(self, other):
        return self._binary(other, "fmul")

    def __rmul__(self, other):
        return self._binary(other, "fmul", swap=True)

    def __truediv__(self, other):
        return self._binary(other, "fdiv")


def fma(x, y, z):
    """x * y + z."""
    emit = next(v.emit for v in (x, y, z) if isinstance(v, Wide))
    return Wide(emit, emit.fma(emit.wide(x), emit.wide(y), emit.wide(z)))


def exp(x):
    return Wide(x.emit, elementary.emit_exp(x.emit, x.value))


def tanh(x):
    return Wide(x.emit, elementary.emit_tanh(x.emit, x.value))


def log(x):
    return Wide(x.emit, elementary.emit_log(x.emit, x.value))


def where(op, a, b, yes, no):
    """yes where ``a op b`` (an ordered comparison: false on NaN), else no."""
    emit = next(v.emit for v in (a, b) if isinstance(v, Wide))
    condition = emit.builder.fcmp_ordered(op, emit.wide(a), emit.wide(b))
    return Wide(emit, emit.builder.select(condition, emit.wide(yes), emit.wide(no)))


def larger(x, top):
    """max(x, top), top where x is NaN: one instruction. (A NaN comes out of the sum of exponentials.)"""
    return where(">", x, top, x, top)


def soon(address, step):
    """Ask for the line at ``address + step * index``, index being the first element of a whole vector."""
    emit, base = address
    if emit.width > 1:
        emit_prefetch(emit.builder, emit.builder.add(base, emit.builder.mul(emit.index, step[1])))


class Emit(elementary.Emit):
    """Instructions on ``width`` numbers at element ``index`` of every pointer."""

    def __init__(self, builder, kind, width, index):
        super().__init__(builder, kind, width)
        self.index = index

    def wide(self, x):
        """x as a value of this width: a Wide, a Python number, or a scalar argument."""
        if isinstance(x, Wide):
            return x.value
        if isinstance(x, (int, float)):
            return self.k(float(x))
        return self.splat(x)


class Memory:
    """A pointer in a body: ``p[...]`` is its elements of this step."""

    def __init__(self, emit, pointer_type, value, stride, past_caches):
        self.emit, self.type, self.value = emit, pointer_type, value
        index = emit.index
        self.index = index if stride is None else emit.builder.mul(index, stride)
        self.past_caches = past_caches

    def __getitem__(self, _):
        return Wide(self.emit, load_element(self.emit, self.type.element, self.value, self.index))

    def __setitem__(self, _, value):
        store_element(self.emit, self.type.element, self.value, self.index, self.emit.wide(value), self.past_caches)


def _trace(body, builder, kind, width, index, arguments, way):
    """Instructions of one step; the values the body returns, as a tuple."""
    emit = Emit(builder, kind, width, index)
    values = []
    for k, (typ, value) in enumerate(arguments):
        if isinstance(typ, Pointer):
            if way is not None and k == way.argument:
                values.append(Memory(emit, typ, value, way.stride, way.past_caches and width > 1))
            else:
                values.append(Memory(emit, typ, value, None, False))
        elif isinstance(typ, types.Integer):
            values.append((emit, value))
        else:
            values.append(Wide(emit, emit.splat(value)))
    result = body(*values)
    if result is None:
        return ()
    return tuple(part.value for part in (result if isinstance(result, tuple) else (result,)))


def _fold(builder, kind, width, vector, join):
    """One number from a vector, by halves."""
    while width > 1:
        half, i32 = width // 2, ir.IntType(32)
        parts = []
        for start in (0, half):
            mask = ir.Constant(ir.VectorType(i32, half), list(range(start, start + half)))
            parts.append(builder.shuffle_vector(vector, vector, mask))
        vector = join(Emit(builder, kind, half, None), *parts)
        if half == 1:
            vector = builder.extract_element(vector, ir.Constant(i32, 0))
        width = half
    return vector


def _joins(sums, tops):
    """How two partial results are joined, one per result, and where they start."""
    return [(lambda e, a, b: e.builder.fadd(a, b), 0.0)] * sums + [
        (lambda e, a, b: e.builder.select(e.builder.fcmp_ordered(">", a, b), a, b), float("-inf"))
    ] * tops


@dataclass(frozen=True)
class _Way:
    """How one loop goes through tensor memory: argument ``argument`` of the body."""

    argument: int
    stride: ir.Value | None = None  # elements; None: next to each other
    past_caches: bool = False  # store whole vectors without reading their lines first


def _emit_body(builder, body, kind, n, arguments, joins, way):
    """Three loops (UNROLL vectors, one vector, one number) and the results."""
    width = 64 // (4 if kind == types.float32 else 8)
    wide = [[_start(builder, kind, width, initial) for _, initial in joins] for _ in range(UNROLL)]
    single = [_start(builder, kind, 1, initial) for _, initial in joins]

    def steps(begin, stop, count, w):
        size = ir.Constant(_I64, w * count)
        with cgutils.for_range_slice(builder, begin, stop, size, _I64) as (index, _):
            for k in range(count):
                at = builder.add(index, ir.Constant(_I64, w * k))
                parts = _trace(body, builder, kind, w, at, arguments, way)
                for slot, part, (join, _) in zip(single if w == 1 else wide[k], parts, joins, strict=True):
                    builder.store(join(Emit(builder, kind, w, None), part, builder.load(slot)), slot)

    begin = ir.Constant(_I64, 0)
    if way is not None and way.past_caches:
        stop = _until_aligned(builder, n, *arguments[way.argument], width)
        steps(begin, stop, 1, 1)
        begin = stop
    if way is None or way.stride is None:
        for count in (UNROLL, 1):
            stop = builder.sub(n, builder.srem(builder.sub(n, begin), ir.Constant(_I64, width * count)))
            steps(begin, stop, count, width)
            begin = stop
    else:
        stop = builder.sub(n, builder.srem(n, ir.Constant(_I64, UNROLL)))
        steps(begin, stop, UNROLL, 1)
        begin = stop
    steps(begin, n, 1, 1)
    results = []
    for r, (join, _) in enumerate(joins):
        total = builder.load(wide[0][r])
        for k in range(1, UNROLL):
            total = join(Emit(builder, kind, width, None), total, builder.load(wide[k][r]))
        total = _fold(builder, kind, width, total, join)
        results.append(join(Emit(builder, kind, 1, None), total, builder.load(single[r])))
    return results


def _start(builder, kind, width, value):
    """A variable of ``width`` numbers (a register, once optimised)."""
    return cgutils.alloca_once_value(builder, Emit(builder, kind, width, None).k(value))


def _until_aligned(builder, n, pointer_type, address, width):
    """How many elements come before the first whole vector of the streamed memory (at most n)."""
    size = size_of(pointer_type.element)
    below = builder.and_(builder.neg(address), ir.Constant(_I64, width * size - 1))
    head = builder.udiv(below, ir.Constant(_I64, size))
    return builder.select(builder.icmp_signed("<", head, n), head, n)


def loop(body=None, *, sums=0, tops=0, load=None, store=None) -> Any:
    """An intrinsic ``name(first, n, *rest)`` from the body of one step ``body(first, *rest)``.

    sums, tops: how many of the body's results are summed, then how many are maximised.
    load, store: name of an argument that is tensor memory, read or written: an integer address of which
        the intrinsic takes further arguments ``(..., kind, stride)`` or ``(..., kind, stride, past_caches)``:
        storage type, elements between two of its elements, and whether to write around the caches.
        One function holds the loops for all of them.
    """
    if body is None:
        return functools.partial(loop, sums=sums, tops=tops, load=load, store=store)
    names = list(inspect.signature(body).parameters)
    joins = _joins(sums, tops)
    extra = ("kind_", "stride_") if load else ("kind_", "stride_", "past_caches_") if store else ()
    tensor = names.index(load or store) if extra else None

    def typed(typingctx, first, n, *rest):
        kind = first.value
        wanted = tuple(
            t if isinstance(t, Pointer) else types.int64 if isinstance(t, types.Integer) else kind for t in rest
        )
        result = types.none if not joins else kind if len(joins) == 1 else types.UniTuple(kind, len(joins))

        def codegen(context, builder, sig, args):
            if tensor is None:
                function = _function(builder.module, body, kind, sig.args, joins)
            else:
                function = _tensor_function(builder.module, body, kind, sig.args, joins, tensor, bool(store))
            parts = builder.call(function, args)
            if not joins:
                return context.get_dummy_value()
            if len(joins) == 1:
                return parts
            return context.make_tuple(builder, result, [builder.extract_value(parts, k) for k in range(len(joins))])

        return result(first, types.int64, *wanted), codegen

    positional = inspect.Parameter.POSITIONAL_OR_KEYWORD
    typed.__name__, typed.__doc__ = body.__name__, body.__doc__
    typed.__signature__ = inspect.Signature(
        [inspect.Parameter(name, positional) for name in ("typingctx", names[0], "n_", *names[1:], *extra)]
    )
    return elementary.intrinsic(typed)


def declare(module, name, kind, argument_types, joins):
    """The LLVM function ``name`` of these argument types, and whether its body is still to be written."""
    if name in module.globals:
        return module.globals[name], False
    scalar = ir.FloatType() if kind == types.float32 else ir.DoubleType()
    result = ir.VoidType() if not joins else scalar if len(joins) == 1 else ir.LiteralStructType([scalar] * len(joins))
    machine = [scalar if isinstance(t, types.Float) else _I64 for t in argument_types]
    function = ir.Function(module, ir.FunctionType(result, machine), name)
    function.linkage = "linkonce_odr"
    function.attributes.add("noinline")  # inlined at each use, loops made compiling 4x slower and no call faster
    function.attributes.add("nounwind")
    return function, True


def name_of(body, argument_types, *way):
    pieces = [t.element if isinstance(t, Pointer) else str(t) for t in argument_types]
    return ".".join(("crossent", body.__name__, *way, *pieces))


def _function(module, body, kind, argument_types, joins):
    """The function of a loop over pointers of known types."""
    function, new = declare(module, name_of(body, argument_types), kind, argument_types, joins)
    if new:
        builder = ir.IRBuilder(function.append_basic_block("entry"))
        arguments = [pair for k, pair in enumerate(zip(argument_types, function.args, strict=True)) if k != 1]
        _return(builder, function, _emit_body(builder, body, kind, function.args[1], arguments, joins, None))
    return function


def _return(builder, function, results):
    if not results:
        builder.ret_void()
    elif len(results) == 1:
        builder.ret(results[0])
    else:
        packed = ir.Constant(function.function_type.return_type, ir.Undefined)
        for k, value in enumerate(results):
            packed = builder.insert_value(packed, value, k)
        builder.ret(packed)


def _tensor_function(module, body, kind, argument_types, joins, tensor, is_store):
    """The function of a loop over tensor memory: a switch over storage types, and the ways through each."""
    function, new = declare(module, name_of(body, argument_types, "tensor"), kind, argument_types, joins)
    if not new:
        return function
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    own = len(function.args) - (3 if is_store else 2)
    code, stride, *past = function.args[own:]
    apart = builder.icmp_signed("!=", stride, ir.Constant(_I64, 1))
    streamed = builder.icmp_signed("!=", past[0], ir.Constant(_I64, 0)) if is_store else None
    nowhere = function.append_basic_block("unreachable")
    switch = builder.switch(code, nowhere)
    for value, pointer in STORAGE[kind].items():
        typed = [(t, a) for t, a in zip(argument_types[:own], function.args[:own], strict=True)]
        typed[tensor + 1] = (pointer, typed[tensor + 1][1])
        n = typed.pop(1)[1]

        builder.position_at_end(block := function.append_basic_block(pointer.element))
        switch.add_case(ir.Constant(_I64, value), block)
        emit = functools.partial(_emit_body, builder, body, kind, n, typed, joins)
        with builder.if_then(apart):
            _return(builder, function, emit(_Way(tensor, stride=stride)))
        if is_store:
            with builder.if_then(streamed):
                _return(builder, function, emit(_Way(tensor, past_caches=True)))
        _return(builder, function, emit(_Way(tensor)))
    builder.position_at_end(nowhere)
    builder.unreachable()
    return function
