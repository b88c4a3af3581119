"""Where the device suite runs: the device with its backend, or the CPU standing in for it.

Without a device ``CROSSENT_STAND_IN=cpu`` runs the suite's own code on CPU tensors (backend ``gpu`` under
TRITON_INTERPRET=1, else the CPU engine), so that it is known to run. What is CUDA's own is in :class:`Cuda`; nothing
of that class runs in a stand-in, and a stand-in proves nothing of a device.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

STAND_IN = os.environ.get("CROSSENT_STAND_IN", "")


class StandIn:
    """The CPU in the device's place."""

    device = "cpu"
    is_device = False

    def __init__(self) -> None:
        from crossent import dispatch

        self.backend = "gpu" if os.environ.get("TRITON_INTERPRET") == "1" else "cpu"
        reason = dispatch.reason_against(self.backend, torch.device("cpu"), torch.float32)
        if reason is not None:
            self.backend = "reference"
        self.name = f"CPU in the place of a device, backend {self.backend}"

    def wait(self) -> None:
        """Until the device has done all that it was asked."""

    def captured(self, call: Callable[[], Any]) -> Callable[[], None]:
        """``call`` as a graph: what comes back replays it into the tensors that it has filled."""
        call()
        return call

    @contextmanager
    def nothing_waits(self) -> Iterator[None]:
        """Inside, the host must not wait for the device."""
        yield

    @contextmanager
    def stream(self, index: int) -> Iterator[None]:
        """Inside, work goes to a stream of its own."""
        yield

    def join_streams(self) -> None:
        """What comes next waits for all streams."""

    def peak_bytes(self, call: Callable[[], Any]) -> int | None:
        """Bytes that ``call`` allocated beyond what was there; None: not known here."""
        call()
        return None

    def kernel_seconds(self, call: Callable[[], Any]) -> dict[str, float]:
        """Seconds on the device by kernel; empty: not known here."""
        call()
        return {}

    def has_room(self, bytes: int) -> bool:
        return bytes < 1 << 28


class Cuda:
    """A CUDA (or ROCm) device."""

    device = "cuda"
    is_device = True
    backend = "gpu"

    def __init__(self) -> None:
        self.name = torch.cuda.get_device_name()
        self.streams: dict[int, torch.cuda.Stream] = {}

    def wait(self) -> None:
        torch.cuda.synchronize()

    def captured(self, call: Callable[[], Any]) -> Callable[[], None]:
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):  # kernels are compiled, libraries loaded and workspaces taken before
            for _ in range(3):
                call()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            call()
        return graph.replay

    @contextmanager
    def nothing_waits(self) -> Iterator[None]:
        torch.cuda.set_sync_debug_mode("error")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode("default")

    @contextmanager
    def stream(self, index: int) -> Iterator[None]:
        stream = self.streams.setdefault(index, torch.cuda.Stream())
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            yield

    def join_streams(self) -> None:
        for stream in self.streams.values():
            torch.cuda.current_stream().wait_stream(stream)

    def peak_bytes(self, call: Callable[[], Any]) -> int | None:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before

    def kernel_seconds(self, call: Callable[[], Any]) -> dict[str, float]:
        from torch.profiler import ProfilerActivity, profile

        torch.cuda.synchronize()
        with profile(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) as trace:
            call()
            torch.cuda.synchronize()
        found: dict[str, float] = {}
        for event in trace.events():
            if event.device_type == torch.autograd.DeviceType.CUDA:
                found[event.name] = found.get(event.name, 0.0) + event.time_range.elapsed_us() * 1e-6
        return found

    def has_room(self, bytes: int) -> bool:
        return torch.cuda.mem_get_info()[0] > bytes


def why_not() -> str | None:
    """Why the suite cannot run here, or None."""
    if STAND_IN:
        return None if STAND_IN == "cpu" else f"CROSSENT_STAND_IN is {STAND_IN!r}; only 'cpu' is known"
    if not torch.cuda.is_available():
        return "no CUDA device here (torch.cuda.is_available() is False)"
    from crossent import dispatch

    reason = dispatch.reason_against("gpu", torch.device("cuda"), torch.float32)
    return None if reason is None else f"the gpu engine cannot run on this device: {reason}"


def make() -> StandIn | Cuda:
    """The place; ask :func:`why_not` first."""
    return StandIn() if STAND_IN else Cuda()
