"""Products that read on the device how many rows count: ignored rows cost nothing there, and nothing waits for it.

Rows with a target stand in front of the others (``head.py``). How many of them a chunk has is a tensor of one number,
which torch's grouped products take as the end of their only group: what lies behind it is not multiplied::

    logits[:count]   = hidden[:count] @ W.T        the rest is whatever was in memory; kernels skip those rows
    d hidden[:count] = d logits[:count] @ W        the rest is set to zero
    d W             += d logits[:count].T @ hidden[:count]

Buffers keep their size whatever is counted, so all of it can be captured in a CUDA graph. On CUDA the products are
CUTLASS's grouped ones, for bfloat16 on compute capability 9.0 and later (elsewhere torch would copy the count to the
host and wait); their results are bfloat16, so each chunk's part of the weight's gradient is rounded once before it is
added to the sum, as on the CPU. Whether they reach the speed of cuBLAS's plain ones has not been measured yet, so only
``LinearPlan(counted=True)`` asks for them.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

OLDEST_CAPABILITY = (9, 0)
ALIGNED_BYTES = 16  # of the rows of every matrix of a grouped product


def why_not(device: torch.device, dtype: torch.dtype, features: int) -> str | None:
    """What a device would need to multiply so, or None."""
    if device.type == "cpu":  # ignored rows are left out there as it is
        return None
    if not hasattr(torch.nn.functional, "grouped_mm"):
        return "torch 2.10 or later, which has grouped products"
    if device.type != "cuda" or torch.version.hip is not None or dtype != torch.bfloat16:
        return "bfloat16 on an NVIDIA GPU"
    if torch.cuda.get_device_capability(device) < OLDEST_CAPABILITY:
        return "compute capability 9.0 or later"
    if features * dtype.itemsize % ALIGNED_BYTES:
        return f"a multiple of {ALIGNED_BYTES // dtype.itemsize} features"
    return None


def logits(hidden: Tensor, projection: Tensor, bias: Tensor | None, count: Tensor) -> Tensor:
    """(m, P): hidden @ projection.T + bias of the first ``count`` rows; the others hold anything."""
    product = _grouped(hidden, projection.t()[None], count)
    return product if bias is None else product.add_(bias)


def d_hidden(d_logits: Tensor, projection: Tensor, count: Tensor) -> Tensor:
    """(m, H): d logits @ projection of the first ``count`` rows, zeros in the others."""
    product = _grouped(_aligned(d_logits), projection[None], count)
    behind = torch.arange(product.shape[0], device=product.device)[:, None] >= count
    return product.masked_fill_(behind, 0.0)


def add_projection(total: Tensor, d_logits: Tensor, hidden: Tensor, count: Tensor, *, first: bool) -> None:
    """total += d logits.T @ hidden over the first ``count`` rows; ``first``: its old content is not read."""
    product = _grouped(_aligned(d_logits).t(), hidden, count)[0]
    if first:
        total.copy_(product)
    else:
        total.add_(product)


def _grouped(a: Tensor, b: Tensor, count: Tensor) -> Tensor:
    return cast(Any, torch.nn.functional).grouped_mm(a, b, offs=count)


def _aligned(d_logits: Tensor) -> Tensor:
    """The same (m, P) with rows that begin at multiples of ALIGNED_BYTES."""
    step = max(1, ALIGNED_BYTES // d_logits.element_size())
    rows, outputs = d_logits.shape
    if d_logits.stride(1) == 1 and d_logits.stride(0) % step == 0:
        return d_logits
    return d_logits.new_empty(rows, -(-outputs // step) * step)[:, :outputs].copy_(d_logits)
