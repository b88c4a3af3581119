"""Object code in this process: linked by llvmlite, called by ctypes. (No Numba here.)

The convention is Numba's for compiled functions: ``status name(result*, exception**, arguments ...)``; our
kernels raise nothing, so status is always 0. ctypes releases the GIL for the call.
"""

from __future__ import annotations

import ctypes
import functools
import os
from importlib.metadata import version

_PROTOTYPE = ctypes.CFUNCTYPE(
    ctypes.c_int32,  # status
    ctypes.POINTER(ctypes.c_int64),  # result
    ctypes.POINTER(ctypes.c_void_p),  # exception
    ctypes.c_int64,  # scratch
    ctypes.c_char_p,  # packed arguments
    ctypes.c_int64,  # first
    ctypes.c_int64,  # last
)


def compiler_versions() -> tuple[str, str]:
    """Numba's and llvmlite's."""
    return version("numba"), version("llvmlite")


@functools.cache
def cpu() -> tuple[str, str]:
    """Name and features of this CPU, as LLVM sees them."""
    import llvmlite.binding as llvm

    return llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()


@functools.cache
def converts_float16() -> bool:
    """Whether this CPU has instructions between float16 and float32 (x86: F16C).

    Where it has none LLVM writes a call of a compiler's library that is not in the process, which would end it.
    """
    import llvmlite.binding as llvm

    _initialize()
    name, features = (os.environ.get(f"NUMBA_CPU_{what}") for what in ("NAME", "FEATURES"))
    host = name is None
    target = llvm.Target.from_default_triple().create_target_machine(
        cpu=cpu()[0] if host else name, features=cpu()[1] if host and features is None else features or ""
    )
    return "hfsf2" not in (text := target.emit_assembly(llvm.parse_assembly(_HALF))) and "h2f" not in text


_HALF = "define float @widen(half %x) {\n %y = fpext half %x to float\n ret float %y\n}"


def _initialize() -> None:
    import llvmlite.binding as llvm

    try:
        llvm.initialize()
    except RuntimeError:  # newer versions do it on import, and say so
        pass
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()


@functools.cache
def _engine():
    """An LLVM engine that object files are linked into."""
    import llvmlite.binding as llvm

    _initialize()
    target = llvm.Target.from_default_triple().create_target_machine()
    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), target)


class Entry:
    """A kernel: ``entry(scratch, packed arguments, first, last)`` gives the first bad row, or -1."""

    __slots__ = ("_function", "address")

    def __init__(self, address: int) -> None:
        self.address = address
        self._function = _PROTOTYPE(address)

    def __call__(self, scratch: int, packed: bytes, first: int, last: int) -> int:
        result, exception = ctypes.c_int64(-1), ctypes.c_void_p()
        self._function(ctypes.byref(result), ctypes.byref(exception), scratch, packed, first, last)
        return result.value


def load(code: bytes) -> Entry:
    """Link an object file, which begins with a line that names its kernel, and return that as a function."""
    import llvmlite.binding as llvm

    symbol, _, object_file = code.partition(b"\n")
    engine = _engine()
    engine.add_object_file(llvm.ObjectFileRef.from_data(object_file))
    engine.finalize_object()
    return Entry(engine.get_function_address(symbol.decode()))


def link(text: str, symbol: str) -> int:
    """The address of a function that is written in LLVM's language."""
    import llvmlite.binding as llvm

    engine = _engine()
    engine.add_module(llvm.parse_assembly(text))
    engine.finalize_object()
    return engine.get_function_address(symbol)
