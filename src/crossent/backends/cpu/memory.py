"""Memory for gradients and results.

Touching new memory is half the cost of a gradient: the system clears every page before it hands it out
(2048 x 128256 float32: as long as the kernel that fills it). Two measures, on Linux, for large tensors:

* huge pages (2 MB): one page fault in place of 512;
* memory whose last tensor is gone is kept for the next one, as an allocator does. It is marked as free
  (MADV_FREE), so the system takes it back when it needs it, without swapping; at most KEPT_SHARE of the
  machine's memory in KEPT_BLOCKS blocks. ``$CROSSENT_KEEP_MEMORY=0`` gives everything back at once,
  ``crossent.empty_cache()`` what is kept now.

A tensor owns its memory as any other does: views, storages and autograd hold it, and it is kept only
when the last of them is gone. Only its storage cannot be resized.
"""

from __future__ import annotations

import ctypes
import functools
import math
import mmap
import os
import sys
import weakref

import torch
from torch import Tensor

HUGE_PAGE = 2 << 20
# Below this torch's allocator reuses memory by itself, and there is little to gain.
LARGE_BYTES = 4 << 20
KEPT_BLOCKS = 4
KEPT_SHARE = 1 / 8
# A kept block may be larger than what is asked for by this much.
SLACK = 1.25

# Changed by single list operations only: the finaliser of a tensor may run at any moment, inside these lines too.
_kept: list[mmap.mmap] = []


def empty(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Uninitialised memory, kept or in huge pages where it is large."""
    size = math.prod(shape) * dtype.itemsize
    if size < LARGE_BYTES or not _has_huge_pages():
        return torch.empty(shape, dtype=dtype)
    block = _take(size)
    lease = (ctypes.c_char * len(block)).from_buffer(block)
    weakref.finalize(lease, _give_back, block).atexit = False
    storage = torch.frombuffer(lease, dtype=torch.uint8).untyped_storage()
    return torch.empty(0, dtype=dtype).set_(storage, 0, shape)  # not .view(shape): a gradient should be no view


def forget() -> None:
    """Give kept memory back to the system."""
    _kept.clear()


def _take(size: int) -> mmap.mmap:
    """The smallest kept block that fits, or a new one."""
    for block in sorted(_kept, key=len):
        if size <= len(block) <= size * SLACK:
            try:
                _kept.remove(block)
            except ValueError:  # another thread took it
                continue
            return block
    block = mmap.mmap(-1, -(-size // HUGE_PAGE) * HUGE_PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    block.madvise(mmap.MADV_HUGEPAGE)
    return block


def _give_back(block: mmap.mmap) -> None:
    """Keep the memory of a tensor that is gone; what is above the limits goes back to the system, oldest first."""
    if os.environ.get("CROSSENT_KEEP_MEMORY") == "0":
        return
    block.madvise(mmap.MADV_FREE)
    _kept.append(block)
    while len(_kept) > KEPT_BLOCKS or sum(map(len, list(_kept))) > _limit():
        try:
            del _kept[0]
        except IndexError:  # another thread was faster
            return


@functools.cache
def _limit() -> int:
    return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * KEPT_SHARE)


@functools.cache
def _has_huge_pages() -> bool:
    wanted = ("MADV_HUGEPAGE", "MADV_FREE", "MAP_PRIVATE", "MAP_ANONYMOUS")
    return sys.platform.startswith("linux") and all(hasattr(mmap, name) for name in wanted)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget)  # a child shares pages with its parent until one of them writes
