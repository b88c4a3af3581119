"""Peak memory of a call beyond what was there before it. For a process that does nothing else.

Linux keeps the highest resident size of a process and forgets it on request, so the peak is the call's own and
exact to a page batch (some hundred KB). Elsewhere the highest size since the start serves: it is too small where the
start-up needed more.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable
from pathlib import Path


def extra_bytes(call: Callable[[], object]) -> int | None:
    """How far ``call`` drove the resident memory above where it stood; None where the system does not say."""
    gc.collect()
    _return_freed_memory()
    before = _forget_peak()
    call()
    peak = _peak()
    return None if before is None or peak is None else max(0, peak - before)


def _return_freed_memory() -> None:
    """Hand what is free back to the system now, so that it counts neither as used nor as peak."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError, TypeError):  # not glibc
        return


def _forget_peak() -> int | None:
    """The memory in use now; from here on the peak counts."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        return _status("VmRSS")
    except OSError:
        return _peak()


def _peak() -> int | None:
    try:
        return _status("VmHWM")
    except OSError:
        pass
    try:
        import resource
    except ImportError:  # Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise OSError(f"no {name} in /proc/self/status")
