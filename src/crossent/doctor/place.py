"""Where the user's code called: the first frame outside torch, crossent and what is installed beside them."""

from __future__ import annotations

import os
import sys
import sysconfig
from functools import lru_cache
from pathlib import Path
from types import FrameType

from crossent.doctor.finding import Place

NOT_THE_USERS = frozenset({"torch", "crossent", "contextlib", "functools", "importlib", "runpy"})
INSTALLED = frozenset({"site-packages", "dist-packages"})
_STANDARD_LIBRARY = sysconfig.get_path("stdlib") + os.sep


def is_users(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] not in NOT_THE_USERS


def of_caller(level: int = 1) -> Place:
    """The nearest line of the user. A framework that stands between it and the loss is ``via``; where all is installed,
    the framework's line is the place itself."""
    frame: FrameType | None = sys._getframe(level)  # pyright: ignore[reportPrivateUsage]
    while frame is not None and not is_users(frame):
        frame = frame.f_back
    if frame is None:
        return Place()
    nearest = Place(frame.f_code.co_filename, frame.f_lineno)
    while frame is not None and (is_installed(frame.f_code.co_filename) or not is_users(frame)):
        frame = frame.f_back
    if frame is None or nearest == Place(frame.f_code.co_filename, frame.f_lineno):
        return nearest
    return Place(frame.f_code.co_filename, frame.f_lineno, via=f"{_module_path(nearest.file)}:{nearest.line}")


@lru_cache(maxsize=4096)
def is_installed(file: str) -> bool:
    """Whether a file is a library's, not the user's."""
    return file.startswith((_STANDARD_LIBRARY, "<frozen")) or not INSTALLED.isdisjoint(Path(file).parts)


def _module_path(file: str) -> str:
    """transformers/loss/loss_utils.py"""
    parts = Path(file).parts
    last = max((index for index, part in enumerate(parts) if part in INSTALLED), default=-1)
    return "/".join(parts[last + 1 :]) if last >= 0 else file


def here(level: int = 2) -> Place:
    return readable(of_caller(level))


def readable(place: Place) -> Place:
    """Relative to the working directory where the file lies below it."""
    try:
        relative = os.path.relpath(place.file)
    except (OSError, ValueError):  # another drive; a working directory that is gone
        return place
    if relative.startswith("..") or place.file.startswith("<"):
        return place
    return Place(relative, place.line, place.via)
