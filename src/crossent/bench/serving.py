"""Who computed a crossent row: torch must not be compared with torch unnoticed."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from crossent import handover

UNREPORTED = "not reported"


@contextmanager
def listening() -> Generator[list[str]]:
    """Who serves the calls made inside, e.g. ``cpu`` or ``torch (small call)``; each once."""
    names: list[str] = []

    def record(call: handover.Served) -> None:
        name = f"{call.by} ({call.reason})" if call.reason else call.by
        if name not in names:
            names.append(name)

    handover.add_listener(record)
    try:
        yield names
    finally:
        handover.remove_listener(record)
