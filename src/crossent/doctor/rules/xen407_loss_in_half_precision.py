"""The loss is computed in 16 bits.

What
    bfloat16 or float16 logits go into the loss without autocast or ``.float()``.
Why
    The result has the dtype of the logits: near 11, bfloat16 numbers are 0.0625 apart, so a falling loss stands
    still and jumps. Measured: 11.2857 becomes 11.25; the sum over 8,192 tokens is inf in float16 and 1.4 % off in
    bfloat16. autocast computes losses in float32; FSDP's mixed precision alone does not.
Bad::

    loss = F.cross_entropy(model(x).bfloat16(), y)  # XEN407

Good::

    loss = F.cross_entropy(model(x).bfloat16().float(), y)

How it is detected
    The logits and the result are bfloat16 or float16.
False positives
    Gradients are usable in bfloat16; what is lost is the value that is logged and compared.
References
    https://docs.pytorch.org/docs/stable/amp.html
"""

from __future__ import annotations

import math

import torch

from crossent.doctor.finding import Found
from crossent.doctor.record import HALF, CallRecord

MESSAGE = "the loss is computed in {dtype}: numbers near {value:.4g} are {grid:.3g} apart{overflow}."
CONSEQUENCE = "the loss that you see moves in steps of {grid:.3g}; small improvements are rounded away."
FIX = "pass logits.float() (autocast does so by itself), or crossent.cross_entropy(..., out_dtype=torch.float32)."


def from_values(record: CallRecord) -> Found | None:
    if record.input.dtype not in HALF or record.result is None or record.result.dtype not in HALF:
        return None
    if record.reduction == "none":
        return None
    chance = math.log(max(2, record.classes)) * (record.row_count if record.reduction == "sum" else 1)
    value = record.loss if record.loss is not None and math.isfinite(record.loss) else chance
    info = torch.finfo(record.input.dtype)
    grid = info.eps * 2.0 ** math.floor(math.log2(abs(value))) if value else info.tiny
    overflow = f"; a sum of {chance:.4g} is above the largest number, {info.max:.4g}" if chance > info.max else ""
    evidence = {"dtype": record.dtype, "value": value, "grid": grid, "overflow": overflow}
    return Found(evidence, severity="error" if overflow else None)
