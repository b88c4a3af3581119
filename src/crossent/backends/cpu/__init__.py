"""The CPU engine: row kernels in Numba at the speed of memory, behind ``backends/protocol.py``.

This module turns tensors into addresses and strides, allocates, and splits rows over threads; the
arithmetic is in ``rows_last.py`` (classes next to each other) and ``rows_inner.py`` (rows next to each other).
Importing it does not import Numba: kernels are loaded, or compiled, on the first call (``cache.py``).

Numerics: float32 (float64 for float64 logits); 16-bit types are read and written in the kernel, rounded
to nearest even, the target's column corrected before rounding. Block sums are added in float64. Results do
not depend on the number of threads. exp to 1 ulp; exponentials below 1.2e-38 (2.2e-308) are 0.
"""

from __future__ import annotations

import torch
from torch import Tensor

from crossent.backends.cpu import launch, machine, memory
from crossent.backends.cpu.cache import warmup
from crossent.backends.cpu.launch import (
    count_rows,
    log_softmax,
    log_softmax_grad,
    row_grad,
    row_loss_and_grad,
    row_read,
    row_stats,
    total_and_grad,
)

name = "cpu"
gradient_in_forward = True

_DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


def supports(device: torch.device, dtype: torch.dtype) -> str | None:
    """None if this engine takes tensors of this device and dtype, else the reason why not."""
    if device.type != "cpu":
        return f"the CPU engine has no kernels for device {device.type!r}"
    if dtype not in _DTYPES:
        return f"the CPU engine has no kernels for {dtype}"
    if dtype == torch.float16 and not machine.converts_float16():
        return "the CPU engine needs instructions for float16 (x86: F16C), which this processor lacks"
    return None


def empty(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Memory for a gradient or a result, uninitialised; in huge pages where it is large."""
    return memory.empty(shape, dtype)


def empty_cache() -> None:
    """Give the memory of gradients that are gone back to the system."""
    memory.forget()


__all__ = [
    "count_rows",
    "empty",
    "empty_cache",
    "gradient_in_forward",
    "launch",
    "log_softmax",
    "log_softmax_grad",
    "name",
    "row_grad",
    "row_loss_and_grad",
    "row_read",
    "row_stats",
    "supports",
    "total_and_grad",
    "warmup",
]
