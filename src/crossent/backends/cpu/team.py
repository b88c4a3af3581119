"""The parts of one call on torch's own OpenMP threads.

After a parallel operation of torch its threads wait actively for some milliseconds, so whoever brings threads of his
own meanwhile shares the cores with them: of a 65536 x 10 call that follows one of torch's it is half the time. The
runtime that torch was linked with has one entry point for such a team (``GOMP_parallel``; LLVM's and Intel's have it,
too), and a thread that waits actively begins at once. Where there is none (macOS, Windows) and in the
child of a fork, whose OpenMP threads did not come along, ``threads.py`` uses threads of Python.

What a thread of the team runs is written here as LLVM instructions, since it must not need the interpreter::

    slot = own number; while (part = next++) < parts: results[part] = kernel(scratch of slot, arguments, edges[part ..])
"""

from __future__ import annotations

import array
import ctypes
import functools
import os
import threading
from typing import Any

from crossent.backends.cpu import machine

# The words of a job before the edges of its parts and their results.
NEXT, SLOT, PARTS, KERNEL, ARGUMENTS, SCRATCH, SCRATCH_BYTES = range(7)
WORDS = 7

_forked = False
# One team at a time: other threads that call meanwhile would each start a team of their own.
_busy = threading.Lock()


def run(entry: machine.Entry, packed: bytes, edges: list[int], scratch: int, size: int, team: int) -> list[int] | None:
    """The kernel on every range edges[k] .. edges[k + 1], or None where there is no team to be had.

    scratch: ``team`` times ``size`` bytes.
    """
    parallel = None if _forked else _parallel()
    if parallel is None or not _busy.acquire(blocking=False):
        return None
    try:
        parts = len(edges) - 1
        kept = ctypes.create_string_buffer(packed, len(packed))
        words = [0, 0, parts, entry.address, ctypes.addressof(kept), scratch, size, *edges, *[-1] * parts]
        job = array.array("q", words)
        parallel(_region(), job.buffer_info()[0], team, 0)
        return job[WORDS + parts + 1 :].tolist()
    finally:
        _busy.release()


@functools.cache
def _parallel() -> Any:
    """``GOMP_parallel`` of the runtime that torch uses, or None."""
    import torch

    try:
        function = ctypes.CDLL(torch._C.__file__).GOMP_parallel
    except (AttributeError, OSError):
        return None
    function.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)
    function.restype = None
    return function


@functools.cache
def _region() -> int:
    """The address of ``void region(int64 *job)``."""
    from llvmlite import ir

    word = ir.IntType(64)
    pointer = word.as_pointer()
    module = ir.Module("crossent.team")
    region = ir.Function(module, ir.FunctionType(ir.VoidType(), [pointer]), "crossent.region")
    builder = ir.IRBuilder(region.append_basic_block("entry"))
    (job,) = region.args

    def at(index: Any) -> Any:
        return builder.gep(job, [ir.Constant(word, index) if isinstance(index, int) else index])

    def claim(index: int) -> Any:
        return builder.atomic_rmw("add", at(index), ir.Constant(word, 1), "acq_rel")

    kernel_type = ir.FunctionType(ir.IntType(32), [pointer, pointer, word, pointer, word, word])
    kernel = builder.inttoptr(builder.load(at(KERNEL)), kernel_type.as_pointer())
    arguments = builder.inttoptr(builder.load(at(ARGUMENTS)), pointer)
    parts, size = builder.load(at(PARTS)), builder.load(at(SCRATCH_BYTES))
    scratch = builder.add(builder.load(at(SCRATCH)), builder.mul(claim(SLOT), size))
    unused = builder.alloca(word)
    loop, work, done = (region.append_basic_block(name) for name in ("loop", "work", "done"))
    builder.branch(loop)
    builder.position_at_end(loop)
    part = claim(NEXT)
    builder.cbranch(builder.icmp_signed("<", part, parts), work, done)
    builder.position_at_end(work)
    edge = builder.add(part, ir.Constant(word, WORDS))
    first, last = builder.load(at(edge)), builder.load(at(builder.add(edge, ir.Constant(word, 1))))
    result = at(builder.add(builder.add(edge, parts), ir.Constant(word, 1)))
    builder.call(kernel, [result, unused, scratch, arguments, first, last])
    builder.branch(loop)
    builder.position_at_end(done)
    builder.ret_void()
    return machine.link(str(module), "crossent.region")


def _after_fork() -> None:
    global _busy, _forked
    _forked, _busy = True, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
