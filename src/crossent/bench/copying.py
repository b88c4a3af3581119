"""T: the time of a copy of the logits, the unit that times are told in.

A copy reads and writes as many bytes as a loss with its gradient must, so 1 T is the floor of forward + backward into
memory that has been touched before, and half a T that of a forward pass.

How it is taken: source and target are touched first (no page fault is timed), with the thread count of the losses, in
the same round robin as they. Two ways are timed and **the faster one is T**: torch's own ``copy_``, and one
``memmove`` of the C library per thread, which writes around the caches where the block is large. A slow copy would
flatter everybody's ratio.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from crossent.bench.inputs import Inputs

PAGE = 4096


def ways(logits: Tensor) -> dict[str, Callable[[], Tensor]]:
    """Name -> one warm copy of the logits, which returns the copy."""
    source = logits.detach().contiguous()
    target = source.clone()
    if not source.is_cpu:
        return {"copy_": lambda: target.copy_(source)}
    pool = ThreadPoolExecutor(torch.get_num_threads())
    parts = _parts(source.nbytes, torch.get_num_threads())

    def by_memmove() -> Tensor:
        jobs = [
            pool.submit(ctypes.memmove, target.data_ptr() + start, source.data_ptr() + start, size)
            for start, size in parts
        ]
        for job in jobs:
            job.result()
        return target

    return {"copy_": lambda: target.copy_(source), "memmove": by_memmove}


def products(inputs: Inputs) -> dict[str, Callable[[], Tensor]]:
    """The floor of a linear head: the matrix products that no implementation can avoid, and nothing else."""
    assert inputs.head is not None
    hidden, head = inputs.logits.detach(), inputs.head.detach()
    logits = torch.empty(hidden.shape[0], head.shape[0], dtype=hidden.dtype, device=hidden.device)
    d_hidden, d_head = torch.empty_like(hidden), torch.empty_like(head)

    def run() -> Tensor:
        torch.mm(hidden, head.t(), out=logits)
        if inputs.differentiates:
            torch.mm(logits, head, out=d_hidden)
            torch.mm(logits.t(), hidden, out=d_head)
        return logits

    return {"products": run}


def _parts(size: int, threads: int) -> list[tuple[int, int]]:
    """(start, size) per thread, in whole pages."""
    step = max(PAGE, -(-size // threads // PAGE) * PAGE)
    return [(start, min(step, size - start)) for start in range(0, size, step)]
