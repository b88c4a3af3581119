"""The GPU engine: row kernels in Triton at the speed of memory, behind ``backends/protocol.py``.

``launch.py`` and ``call.py`` turn tensors into pointers, strides and tiles (``layout.py``, ``tuning.py``); the
arithmetic is in ``rows.py`` (the algebra of ``stats.py`` on a tile), ``scanning.py`` (one read of a row) and the
kernels of ``statistics.py``, ``gradient.py`` and ``normalising.py``. Importing this does not import Triton.

Numerics: float32 (float64 for float64 logits); 16-bit types are rounded once, to nearest even, the target's column
corrected before. Sums of a row are taken in an order that depends on its length and the tile only, and nothing is
added by atomics: two runs give the same bits. Nothing waits for the device, so a target out of range is not an
exception: its row's loss and gradient are NaN (CROSSENT_CHECK_TARGETS=1 checks, waits and raises).

Under TRITON_INTERPRET=1 the kernels run on CPU tensors too, slowly: how they are tested without a GPU.
"""

from __future__ import annotations

import os

import torch
from torch import Tensor

from crossent.backends.gpu.launch import (
    count_rows,
    log_softmax,
    log_softmax_grad,
    multiply,
    row_grad,
    row_loss_and_grad,
    row_read,
    row_stats,
)

name = "gpu"
gradient_in_forward = True

OLDEST_CAPABILITY = (8, 0)  # of NVIDIA's: bfloat16, and what Triton supports
_DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


def supports(device: torch.device, dtype: torch.dtype) -> str | None:
    """None if this engine takes tensors of this device and dtype, else the reason why not."""
    if dtype not in _DTYPES:
        return f"the GPU engine has no kernels for {dtype}"
    if device.type == "cpu" and os.environ.get("TRITON_INTERPRET") == "1":
        return None
    if device.type != "cuda":
        return f"the GPU engine has no kernels for device {device.type!r}"
    if not torch.cuda.is_available():
        return "there is no CUDA or ROCm device here"
    if torch.version.hip is None and torch.cuda.get_device_capability(device) < OLDEST_CAPABILITY:
        return "the GPU engine needs compute capability 8.0 or newer"
    return None


def empty(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Memory for a gradient or a result, uninitialised."""
    return torch.empty(shape, dtype=dtype, device=device)


__all__ = [
    "count_rows",
    "empty",
    "gradient_in_forward",
    "log_softmax",
    "log_softmax_grad",
    "multiply",
    "name",
    "row_grad",
    "row_loss_and_grad",
    "row_read",
    "row_stats",
    "supports",
]
