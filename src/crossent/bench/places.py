"""Where a case is measured: how long a call takes there, and what memory it needs.

``cuda`` is timed by the device's own events, with the L2 cache overwritten before every call: a loss's inputs come
from memory, as in training. ``stand-in`` is the CPU in a device's place, for tests of this benchmark only.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol, cast

import torch

from crossent import peak_memory
from crossent.bench.cases import CPU, CUDA, STAND_IN

FLUSH_BYTES = 256 << 20  # more than the L2 cache of any device


class Place(Protocol):
    """What a benchmark asks of a device."""

    device: str
    is_cpu: bool

    def seconds(self, call: Callable[[], object]) -> float: ...
    def extra_bytes(self, call: Callable[[], object]) -> int | None: ...
    def about(self) -> dict[str, Any]: ...


class Host:
    """The CPU."""

    device = "cpu"

    def __init__(self, *, is_cpu: bool = True) -> None:
        self.is_cpu = is_cpu

    def seconds(self, call: Callable[[], object]) -> float:
        """By the clock on the wall."""
        began = time.perf_counter()
        call()
        return time.perf_counter() - began

    def extra_bytes(self, call: Callable[[], object]) -> int | None:
        """Peak of the process beyond what was there."""
        return peak_memory.extra_bytes(call)

    def about(self) -> dict[str, Any]:
        """Nothing that ``about.py`` does not know; a stand-in says that it is one."""
        return {} if self.is_cpu else {"device": "the CPU in the place of a device: no result"}


class Cuda:
    """A CUDA or ROCm device."""

    device = "cuda"
    is_cpu = False

    def __init__(self) -> None:
        self._cold = torch.empty(FLUSH_BYTES, dtype=torch.int8, device="cuda")

    def seconds(self, call: Callable[[], object]) -> float:
        """Between two events on the device, with nothing of the inputs in its cache."""
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        self._cold.zero_()
        torch.cuda.synchronize()
        begin.record()
        call()
        end.record()
        torch.cuda.synchronize()
        return begin.elapsed_time(end) * 1e-3

    def extra_bytes(self, call: Callable[[], object]) -> int | None:
        """Peak of torch's allocator beyond what was there."""
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before

    def about(self) -> dict[str, Any]:
        """Name, processors and versions."""
        facts = cast(Any, torch.cuda.get_device_properties(0))  # pyright: ignore[reportUnknownMemberType]
        return {
            "device": facts.name,
            "multiprocessors": facts.multi_processor_count,
            "device_gib": round(facts.total_memory / 2**30, 1),
            "cuda": torch.version.cuda or torch.version.hip,
        }


def of(device: str) -> Place:
    """The place of a case's device."""
    if device == CUDA:
        return Cuda()
    return Host(is_cpu=device == CPU)


def why_not(device: str) -> str | None:
    """Why nothing can be measured there, or None."""
    if device not in (CPU, CUDA, STAND_IN):
        return f"--device is {device!r}; expected {CPU}, {CUDA} or {STAND_IN}"
    if device == CUDA and not torch.cuda.is_available():
        return "no CUDA device here (torch.cuda.is_available() is False)"
    return None
