"""What the guard counts: calls of the CPU engine on fixed numbers. Run by guard.py, under callgrind or without it.

``python guarded_calls.py prepare`` compiles and caches the kernels; ``count`` brackets each call for callgrind, which
is told by *client requests*: a few instructions that do nothing on a processor and that valgrind recognises. So the
import of torch, which would take minutes to count, is not counted, and every dump is one call.
"""

from __future__ import annotations

import ctypes
import gc
import mmap
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import llvmlite.binding
import torch
from torch import Tensor

ROWS, CLASSES = 64, 8192
PLACES = 4096  # of (1, CLASSES_INNER, PLACES): rows that lie next to each other
CLASSES_INNER = 64


class _PinnedFeatures(dict[str, bool]):
    """The engine's cache key names the processor; under valgrind the real one looks different."""

    def flatten(self) -> str:
        return "pinned"


def pin_processor() -> None:
    """Kernels compiled outside of valgrind are the ones that are loaded inside. Numba's own target comes from
    NUMBA_CPU_NAME and NUMBA_CPU_FEATURES, which guard.py sets."""
    llvmlite.binding.get_host_cpu_name = lambda: "pinned"
    llvmlite.binding.get_host_cpu_features = _PinnedFeatures


def calls() -> dict[str, Callable[[], object]]:
    """Name -> one call."""
    from crossent import dispatch

    engine: Any = dispatch.load("cpu")
    if isinstance(engine, str):
        raise SystemExit(engine)
    torch.manual_seed(0)
    found: dict[str, Callable[[], object]] = {}
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        last = torch.randn(ROWS, CLASSES, dtype=dtype).unsqueeze(-1)
        inner = torch.randn(1, CLASSES_INNER, PLACES, dtype=dtype)
        found |= {f"{name} {what}": call for what, call in _of_rows(engine, last).items()}
        found |= {f"{name} inner {what}": call for what, call in _of_rows(engine, inner, all_options=False).items()}
    return found


def _of_rows(engine: Any, logits: Tensor, *, all_options: bool = True) -> dict[str, Callable[[], object]]:
    from crossent.backends.protocol import Rows

    plain = _problem(logits)
    found = _of_problem(engine, "", plain)
    if all_options:
        classes = logits.shape[1]
        weight = torch.rand(classes) + 0.5
        for what, more in {
            "weight+smoothing ": {"class_weight": weight, "on": 0.9, "off": 0.1 / classes},
            "softcap ": {"softcap": 30.0, "logit_scale": 0.5},
            "probabilities ": {"target": logits.float().softmax(1).to(logits.dtype), "skip": None},
        }.items():
            found |= _of_problem(engine, what, _problem(logits, **more))
    rows, out = Rows(logits=logits), torch.empty_like(logits)
    log_probs = logits.float().log_softmax(1).to(logits.dtype)
    found["log_softmax"] = lambda: engine.log_softmax(rows, out)
    found["log_softmax_grad"] = lambda: engine.log_softmax_grad(rows, log_probs, logits, out, want_scale=False)
    return found


def _problem(logits: Tensor, **more: Any) -> Any:
    from crossent.backends.protocol import RowProblem

    outer, classes, inner = logits.shape
    target = torch.randint(classes, (outer, inner))
    fields = {"target": target, "skip": -100, "class_weight": None, "on": 1.0, "off": 0.0, **more}
    return RowProblem(logits=logits, **fields)


def _of_problem(engine: Any, prefix: str, problem: Any) -> dict[str, Callable[[], object]]:
    from crossent import stats
    from crossent.backends import reference

    out, one = torch.empty_like(problem.logits), torch.ones(())
    own = replace(problem, logits=problem.logits.clone())  # overwritten; the other calls see the same numbers always
    numbers = reference.row_stats(problem, tilt=False)
    coefficients = stats.loss_coefficients(numbers, 0.0, torch.ones(problem.row_shape))
    return {
        f"{prefix}row_stats": lambda: engine.row_stats(problem, tilt=False),
        f"{prefix}row_loss_and_grad": lambda: engine.row_loss_and_grad(problem, one, None, out),
        f"{prefix}row_loss_and_grad in place": lambda: engine.row_loss_and_grad(own, one, None, own.logits),
        f"{prefix}row_grad": lambda: engine.row_grad(problem, numbers, coefficients, out),
    }


# ---- client requests of callgrind (valgrind.h, callgrind.h) ------------------------------------

# mov rax, rdi; xor edx, edx; rol rdi, 3; rol rdi, 13; rol rdi, 61; rol rdi, 51; xchg rbx, rbx; mov rax, rdx; ret
_REQUEST = bytes.fromhex("4889f8 31d2 48c1c703 48c1c70d 48c1c73d 48c1c733 4887db 4889d0 c3")
_TOOL = ord("C") << 24 | ord("T") << 16
_ZERO_STATS, _DUMP_STATS_AT, _START, _STOP = _TOOL + 1, _TOOL + 3, _TOOL + 4, _TOOL + 5


class Callgrind:
    """Client requests; x86-64 only."""

    def __init__(self) -> None:
        self.page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        self.page.write(_REQUEST)
        address = ctypes.addressof(ctypes.c_char.from_buffer(self.page))
        self.request = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_void_p)(address)

    def send(self, request: int, argument: int = 0) -> None:
        words = (ctypes.c_uint64 * 6)(request, argument)  # has a name: it must live until the request is done
        self.request(ctypes.addressof(words))

    def count(self, name: str, call: Callable[[], object]) -> None:
        """One call between a zeroed counter and a dump of that name."""
        label = ctypes.create_string_buffer(name.encode())
        self.send(_START)
        call()  # valgrind translates the code it has not seen, numba's entry point is looked up
        self.send(_ZERO_STATS)
        call()
        self.send(_DUMP_STATS_AT, ctypes.addressof(label))
        self.send(_STOP)


def main(what: str) -> None:
    pin_processor()
    torch.set_num_threads(1)
    gc.disable()
    callgrind = Callgrind() if what == "count" else None
    for name, call in calls().items():
        try:
            call()
        except NotImplementedError:
            continue
        if callgrind is not None:
            callgrind.count(name, call)
        print(name, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
