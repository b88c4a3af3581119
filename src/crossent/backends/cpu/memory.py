"""Memory for gradients and results.

Touching fresh memory is half the cost of a gradient that does not exist yet: 1 GB in 4 KB pages takes
as long as the kernel that fills it (367 against 167 ms end to end for 2048 x 128256). So large results
ask for huge pages (2 MB): one page fault in place of 512. The tensor is an ordinary one of torch's own
allocator in every respect.
"""

from __future__ import annotations

import ctypes
import functools
import sys

import torch
from torch import Tensor

HUGE_PAGE = 2 << 20
# Below this glibc may serve from memory that has been touched before, and there is little to gain.
HUGE_BYTES = 4 << 20
_MADV_HUGEPAGE = 14


def empty(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Uninitialised memory, in huge pages where it is large."""
    tensor = torch.empty(shape, dtype=dtype)
    size = tensor.nbytes
    if size >= HUGE_BYTES:
        advise_huge_pages(tensor.data_ptr(), size)
    return tensor


def advise_huge_pages(address: int, size: int) -> None:
    """Ask for huge pages in the whole pages of a range; no effect where the system has none."""
    madvise = _madvise()
    if madvise is not None:
        start = -(-address // HUGE_PAGE) * HUGE_PAGE
        stop = (address + size) // HUGE_PAGE * HUGE_PAGE
        if stop > start:
            madvise(start, stop - start, _MADV_HUGEPAGE)


@functools.cache
def _madvise():
    """The C library's madvise on Linux, else None."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        function = ctypes.CDLL(None, use_errno=False).madvise
    except (OSError, AttributeError):
        return None
    function.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    function.restype = ctypes.c_int
    return function
