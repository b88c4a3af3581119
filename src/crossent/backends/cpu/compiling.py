"""Numba at work: from a kernel to object code. Only imported where a kernel is not cached yet."""

from __future__ import annotations

from numba.core import types

from crossent.backends.cpu.pointers import float32_p, float64_p, int64_p

_POINTERS = {"float32": float32_p, "float64": float64_p}


def object_code(kernel, compute_type: str) -> bytes:
    """A line with the kernel's symbol, then its object file."""
    signature = types.int64(_POINTERS[compute_type], int64_p, types.int64, types.int64)
    kernel.compile(signature)
    result = kernel.overloads[signature.args]
    _, _, (code, _) = result.library.serialize_using_object_code()
    return result.fndesc.mangled_name.encode() + b"\n" + code
