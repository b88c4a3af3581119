"""Elementary functions as branch-free polynomials, written as LLVM instructions.

``emit_*`` lay their instructions into a loop of ``vector.py``, 16 floats at a time; ``exp``, ``log``
and ``number`` are the same for the scalars of a kernel. (A call of libm's ``exp`` does not vectorise:
18.3 ms against 7.6 ms for exp-and-sum over 2048 x 32000.) No instruction carries a fast-math flag, so NaN and
infinity follow IEEE:

    exp(-inf) = 0   exp(NaN) = NaN   exp(x) = 0 below the smallest normal
    log(0) = -inf   log(<0) = NaN    log(inf) = inf
    tanh(+-inf) = +-1
"""

from __future__ import annotations

import math as _math
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.core.extending import intrinsic as _intrinsic


def intrinsic(function: Any) -> Any:
    """Numba's, of whose result a type checker is told nothing."""
    return _intrinsic(function)


_BITS = {types.float32: 32, types.float64: 64}
_MANTISSA = {types.float32: 23, types.float64: 52}
_BIAS = {types.float32: 127, types.float64: 1023}


class Emit:
    """Writes instructions on ``width`` numbers of one float type at a time (width 1: scalars).

    ``k`` and ``i`` make constants, ``fma`` is x * y + z.
    """

    def __init__(self, builder, kind, width=1):
        self.builder, self.kind, self.width = builder, kind, width
        self.float = self.shaped(ir.FloatType() if kind == types.float32 else ir.DoubleType())
        self.int = self.shaped(ir.IntType(_BITS[kind]))

    def shaped(self, element):
        """The LLVM type of ``width`` elements."""
        return ir.VectorType(element, self.width) if self.width > 1 else element

    def k(self, value):
        return ir.Constant(self.float, [value] * self.width if self.width > 1 else value)

    def i(self, value):
        return ir.Constant(self.int, [value] * self.width if self.width > 1 else value)

    def splat(self, value):
        """A scalar in every lane."""
        if self.width == 1:
            return value
        if isinstance(value, ir.Constant):
            return ir.Constant(self.shaped(value.type), [value.constant] * self.width)
        i32 = ir.IntType(32)
        nothing = ir.Constant(self.shaped(value.type), ir.Undefined)
        one = self.builder.insert_element(nothing, value, ir.Constant(i32, 0))
        return self.builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(i32, self.width), [0] * self.width))

    def fma(self, x, y, z):
        # llvm.fmuladd: fused where the machine has it, two instructions (and no libm call) where not.
        name = "llvm.fmuladd." + (f"v{self.width}" if self.width > 1 else "") + f"f{_BITS[self.kind]}"
        function = self.builder.module.globals.get(name)
        if function is None:
            signature = ir.FunctionType(self.float, [self.float] * 3)
            function = ir.Function(self.builder.module, signature, name)
        return self.builder.call(function, [x, y, z])

    def horner(self, x, coefficients):
        """Polynomial, highest power first."""
        value = self.k(coefficients[0])
        for coefficient in coefficients[1:]:
            value = self.fma(value, x, self.k(coefficient))
        return value

    def select(self, op, a, b, yes, no):
        return self.builder.select(self.builder.fcmp_ordered(op, a, b), yes, no)


# Minimax fits (Chebyshev, 40 digits) of g in exp(r) = 1 + r + r^2 g(r), |r| <= log(2) / 2, highest
# power first; relative error of exp 1.1e-8 (float32; one power less gives 4.5e-7) and 1.8e-17 (float64).
_EXP = {
    types.float32: (0.0013926213466332444, 0.008363202971575855, 0.04166655443768594, 0.16666576845993977, 0.5),
    types.float64: (
        2.5100424157005067e-08,
        2.7620138719732994e-07,
        2.7557268378684192e-06,
        2.480152119021773e-05,
        0.00019841269863105968,
        0.0013888888917281794,
        0.008333333333330051,
        0.04166666666662399,
        0.16666666666666669,
        0.5,
    ),
}
# The same for h in atanh(s) / s = 1 + w h(w), w = s^2 <= 0.0295: errors 5e-13 and 6e-24.
_LOG = {
    types.float32: (0.11665807235921749, 0.14275389316595982, 0.20000061105905326, 0.33333333277021004),
    types.float64: (
        0.0594172619705393,
        0.05843981498771078,
        0.06667822920974689,
        0.07692287483230453,
        0.09090909297884532,
        0.11111111109922116,
        0.14285714285717704,
        0.19999999999999996,
        0.3333333333333333,
    ),
}
# The same for t in tanh(x) = x + x w t(w), w = x^2, |x| <= _TANH_SMALL: relative error 4e-9 (float32).
_TANH = (-0.00570498559338349, 0.020639085845443494, -0.053739714597366255, 0.13331442191308626, -0.3333328194169906)
_TANH_SMALL = 0.625
# log(2) in two parts, the first with enough zero bits that n * part is exact.
_LN2 = {
    types.float32: (0.693359375, -2.12194440054690583e-4),
    types.float64: (6.93147180369123816490e-01, 1.90821492927058770002e-10),
}
# exp(x) is taken as 0 below: the result would be a denormal.
_EXP_LOW = {types.float32: -87.33654, types.float64: -708.3964185322641}


def _reduce(emit, x):
    """x = n log 2 + r: (r, bits of 2^n to add to an exponent field, the float n)."""
    b, mantissa = emit.builder, _MANTISSA[emit.kind]
    # Adding 1.5 * 2^mantissa leaves the nearest integer in the low bits: no conversion instruction.
    magic = emit.k(1.5 * 2.0**mantissa)
    shifted = emit.fma(x, emit.k(1.0 / _math.log(2.0)), magic)
    n = b.fsub(shifted, magic)
    # One step where the product is exact inside the FMA: float32(log 2) is 1.9e-9 off, 2.7e-8 of the
    # result at x = -10. (float64 takes the usual two steps.)
    if emit.kind == types.float32:
        r = emit.fma(n, emit.k(-_math.log(2.0)), x)
    else:
        high, low = _LN2[emit.kind]
        r = emit.fma(n, emit.k(-low), emit.fma(n, emit.k(-high), x))
    return r, b.shl(b.bitcast(shifted, emit.int), emit.i(mantissa)), n


def emit_exp(emit, x):
    b = emit.builder
    r, power, _ = _reduce(emit, x)
    p = emit.horner(r, (*_EXP[emit.kind], 1.0, 1.0))
    value = b.bitcast(b.add(b.bitcast(p, emit.int), power), emit.float)
    return emit.select("<", x, emit.k(_EXP_LOW[emit.kind]), emit.k(0.0), value)


def emit_tanh(emit, x):
    """Small numbers by a polynomial; where every |x| of a vector of floats is small (logits far below their cap) that
    is all, a third of the work. Its neighbours never decide which of the two a number gets: equal logits stay equal.
    """
    b = emit.builder
    if emit.kind != types.float32:
        return _emit_tanh(emit, x)
    w = b.fmul(x, x)
    near = emit.fma(b.fmul(x, w), emit.horner(w, _TANH), x)
    sign_bit = emit.i(1 << (_BITS[emit.kind] - 1))
    size = b.bitcast(b.and_(b.bitcast(x, emit.int), b.not_(sign_bit)), emit.float)
    large = b.fcmp_unordered("ugt", size, emit.k(_TANH_SMALL))
    if emit.width == 1:
        return b.select(large, _emit_tanh(emit, x), near)
    bits, start = b.bitcast(large, ir.IntType(emit.width)), b.block
    with b.if_then(b.icmp_unsigned("!=", bits, ir.Constant(bits.type, 0))):
        mixed = b.select(large, _emit_tanh(emit, x), near)
        mixed_block = b.block
    value = b.phi(emit.float)
    value.add_incoming(near, start)
    value.add_incoming(mixed, mixed_block)
    return value


def _emit_tanh(emit, x):
    """-e / (e + 2) with e = expm1(-2 |x|), so that small x keeps its digits."""
    b = emit.builder
    sign_bit = emit.i(1 << (_BITS[emit.kind] - 1))
    bits = b.bitcast(x, emit.int)
    negative = b.bitcast(b.or_(bits, sign_bit), emit.float)  # -|x|
    # Beyond 22 tanh is 1 in either type; the bound keeps 2^n inside the exponent range.
    y = emit.select("<", negative, emit.k(-22.0), emit.k(-44.0), b.fadd(negative, negative))
    r, power, _ = _reduce(emit, y)
    q = emit.fma(b.fmul(r, r), emit.horner(r, _EXP[emit.kind]), r)  # expm1(r)
    two_n = b.bitcast(b.add(b.bitcast(emit.k(1.0), emit.int), power), emit.float)
    e = emit.fma(two_n, q, b.fsub(two_n, emit.k(1.0)))
    size = b.fdiv(e, b.fadd(e, emit.k(2.0)))  # -tanh |x|: sign bit set (or NaN)
    magnitude = b.and_(b.bitcast(size, emit.int), b.not_(sign_bit))
    return b.bitcast(b.or_(magnitude, b.and_(bits, sign_bit)), emit.float)


def emit_log(emit, x):
    """x = 2^k m, m in [sqrt(1/2), sqrt(2)); log m = 2 atanh((m - 1) / (m + 1))."""
    b, mantissa = emit.builder, _MANTISSA[emit.kind]
    bits = b.bitcast(x, emit.int)
    # Bits of sqrt(1/2): subtracting them carries the exponent over exactly where m passes sqrt(2).
    root = 0x3F3504F3 if emit.kind == types.float32 else 0x3FE6A09E667F3BCD
    moved = b.sub(bits, emit.i(root))
    k = b.sitofp(b.ashr(moved, emit.i(mantissa)), emit.float)
    m = b.bitcast(b.add(b.and_(moved, emit.i((1 << mantissa) - 1)), emit.i(root)), emit.float)
    f = b.fsub(m, emit.k(1.0))
    s = b.fdiv(f, b.fadd(f, emit.k(2.0)))
    w = b.fmul(s, s)
    # log1p(f) = f - s (f - 2 w h): f stays exact, so log keeps its digits near 1.
    correction = b.fmul(s, b.fsub(f, b.fmul(b.fadd(w, w), emit.horner(w, _LOG[emit.kind]))))
    high, low = _LN2[emit.kind]
    value = b.fadd(emit.fma(k, emit.k(high), f), emit.fma(k, emit.k(low), b.fneg(correction)))
    value = emit.select("==", x, emit.k(_math.inf), x, value)
    value = emit.select("==", x, emit.k(0.0), emit.k(-_math.inf), value)
    bad = b.fcmp_unordered("ult", x, emit.k(0.0))  # negative or NaN
    return b.select(bad, emit.k(_math.nan), value)


def _unary(emit_function, doc):
    """An intrinsic of one float argument from a function that emits its instructions."""

    def typed(typingctx, x):
        if x not in _BITS:
            return None

        def codegen(context, builder, sig, args):
            return emit_function(Emit(builder, x), args[0])

        return x(x), codegen

    typed.__name__ = emit_function.__name__.removeprefix("emit_")
    typed.__doc__ = doc
    return intrinsic(typed)


exp = _unary(
    emit_exp,
    "e^x to 1 ulp for x <= 80 (all uses are x <= 0 or nearly so: an overflow test costs 10 %); "
    "0 where the result would be denormal.",
)
tanh = _unary(emit_tanh, "tanh x to 2 ulp.")
log = _unary(emit_log, "Natural logarithm to 1 ulp; denormal x count as their nearest power of two.")


@intrinsic
def number(typingctx, like, value):
    """``value`` in the float type of ``like`` (a float or a pointer): keeps float32 arithmetic float32."""
    kind = getattr(like, "value", like)
    if kind not in _BITS:
        return None

    def codegen(context, builder, sig, args):
        return context.cast(builder, args[1], value, kind)

    return kind(like, value), codegen
