"""``crossent env``: what is installed and what can serve: the first thing to send with a bug report."""

from __future__ import annotations

import json
import os
import platform
import sys
from importlib import metadata
from typing import Annotated, Any, cast

import typer

PACKAGES = ("torch", "numba", "triton", "numpy", "typer", "rich", "scikit-learn", "matplotlib")

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def command(as_json: Json = False) -> None:
    """Print versions, backends with the reason where one is not available, and devices."""
    facts = collect()
    if as_json:
        print(json.dumps(facts, indent=2))
        return
    width = max(map(len, flat := dict(_flatten(facts))))
    for name, value in flat.items():
        print(f"{name:{width}}  {value}")


def collect() -> dict[str, Any]:
    """The facts, as plain values."""
    from crossent._version import __version__

    return {
        "crossent": __version__,
        "python": f"{platform.python_version()} ({platform.python_implementation()})",
        **{name: _version(name) for name in PACKAGES},
        "os": platform.platform(),
        "cpu": f"{_processor()}, {os.cpu_count()} logical cores",
        **_torch_facts(),
    }


def _torch_facts() -> dict[str, Any]:
    try:
        import torch

        from crossent import dispatch, small
    except Exception as error:  # the command that explains a broken installation must work in one
        return {"import of torch failed": f"{type(error).__name__}: {error}"}
    return {
        "threads": f"{torch.get_num_threads()} of torch",
        "devices": _devices(torch),
        "backends": {name: reason or "available" for name, reason in dispatch.backends()},
        "small calls": f"plain, logits + {small.ROW_ELEMENTS} x rows <= {small.LIMIT_ELEMENTS:,} on the CPU: torch's",
    }


def _devices(torch: Any) -> list[str]:
    names = [f"cuda:{n} {torch.cuda.get_device_name(n)}" for n in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        names.append("mps")
    if hasattr(torch, "xpu") and torch.xpu.is_available():
        names.append("xpu")
    return ["cpu", *names]


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    """The CPU's own name; ``platform`` knows it on no common Linux."""
    if sys.platform == "linux":
        try:
            with open("/proc/cpuinfo", encoding="utf-8") as lines:
                return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
        except (OSError, StopIteration):
            pass
    return platform.processor() or platform.machine()


def _flatten(facts: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for name, value in facts.items():
        if isinstance(value, dict):
            rows += _flatten(value, f"{name} ")  # pyright: ignore[reportUnknownArgumentType]
        else:
            text = ", ".join(cast("list[str]", value)) if isinstance(value, list) else str(value)
            rows.append((prefix + name, text))
    return rows
