"""Where the user's code called: the first frame outside torch and crossent."""

from __future__ import annotations

import os
import sys
from types import FrameType

from crossent.doctor.finding import Place

NOT_THE_USERS = frozenset({"torch", "crossent", "contextlib", "functools", "importlib", "runpy"})


def is_users(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] not in NOT_THE_USERS


def of_caller(level: int = 1) -> tuple[str, int]:
    """File and line of the nearest frame of the user; cheap enough for every call."""
    frame: FrameType | None = sys._getframe(level)  # pyright: ignore[reportPrivateUsage]
    while frame is not None and not is_users(frame):
        frame = frame.f_back
    return ("<unknown>", 0) if frame is None else (frame.f_code.co_filename, frame.f_lineno)


def here(level: int = 2) -> Place:
    return readable(*of_caller(level))


def readable(file: str, line: int) -> Place:
    """Relative to the working directory where the file lies below it."""
    try:
        relative = os.path.relpath(file)
    except (OSError, ValueError):  # another drive; a working directory that is gone
        return Place(file, line)
    return Place(file if relative.startswith("..") or file.startswith("<") else relative, line)
