"""What a result was measured on: without it a number means nothing. Names of machines and folders are left out."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "numba", "llvmlite", "numpy", "triton")
PACKAGE_FOLDER = Path(__file__).resolve().parents[1]


def collect(threads: int, device: str = "cpu") -> dict[str, Any]:
    """Facts that must be the same for all cases of one file."""
    from crossent._version import __version__
    from crossent.bench import places

    return {
        "crossent": __version__,
        **{name: version for name in PACKAGES if (version := _version(name))},
        "python": platform.python_version(),
        "os": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "threads": threads,
        "memory_gib": _memory_gib(),
        "huge_pages": _huge_pages(),
        **places.of(device).about(),
    }


def moment() -> dict[str, Any]:
    """Facts of one case: when, which source, and how busy the machine was."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return {"date": now.isoformat(timespec="seconds"), "commit": commit(), "load": load_average()}


def load_average() -> float | None:
    """The load average of the last minute."""
    try:
        return round(os.getloadavg()[0], 2)
    except (OSError, AttributeError):
        return None


def threads() -> int:
    """The cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def commit() -> str:
    """The commit of a checkout, with ``+`` where the package differs from it; "" in an installed package."""
    head = _git("rev-parse", "--short=12", "HEAD")
    return head + "+" if head and _git("status", "--porcelain", "--", ".") else head


def _git(*words: str) -> str:
    try:
        done = subprocess.run(["git", *words], cwd=PACKAGE_FOLDER, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _processor() -> str:
    name = _first_value("/proc/cpuinfo", "model name") if sys.platform == "linux" else ""
    return name or platform.processor() or platform.machine()


def _memory_gib() -> float | None:
    kilobytes = _first_value("/proc/meminfo", "MemTotal").split()
    return round(int(kilobytes[0]) / 2**20, 1) if kilobytes else None


def _huge_pages() -> str:
    try:
        words = Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text(encoding="ascii").split()
    except OSError:
        return ""
    return next((word.strip("[]") for word in words if word.startswith("[")), "")


def _first_value(path: str, name: str) -> str:
    try:
        with open(path, encoding="utf-8") as lines:
            return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")
    except OSError:
        return ""
