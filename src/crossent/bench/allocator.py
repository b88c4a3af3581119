"""Warm memory, for everybody: the C library is told to keep what is freed.

By default glibc gives a large block back to the system when it is freed, so the next gradient of that size comes in
new pages, and touching those costs as much as the loss. With ``mallopt`` (for a user: ``MALLOC_MMAP_MAX_=0
MALLOC_TRIM_THRESHOLD_=-1`` in the environment) freed blocks stay and are handed out again. It holds for torch's
intermediate results as well as for crossent's gradient, so rows called *warm* compare like with like; the
column of page faults shows that it is true.
"""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # malloc.h


def keep_freed_memory() -> str | None:
    """From here on freed memory stays in the process. None, or the reason why not."""
    try:
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version  # noqa: B018 - an attribute error where the C library is another one
    except (OSError, AttributeError, TypeError):
        return f"the allocator of this system ({sys.platform}) has no such switch"
    if library.mallopt(_M_MMAP_MAX, 0) and library.mallopt(_M_TRIM_THRESHOLD, -1):
        return None
    return "mallopt refused"
