"""A function that watches another and passes every call on: what it covers, and how that is exchanged.

The doctor's wrappers cover the losses in ``torch.nn.functional``. ``crossent.patch()`` and ``unpatch()`` exchange what
lies under them, so that a program which calls these while it is watched stays watched, whichever comes first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Function = Callable[..., Any]
EXCHANGE = "__crossent_exchange__"  # on a cover: called with the function that it is to pass calls on to


def under(function: Function) -> Function:
    """The function below all covers."""
    while hasattr(function, EXCHANGE):
        function = function.__wrapped__  # type: ignore[attr-defined]
    return function


def put(where: Any, name: str, function: Function) -> None:
    """Let a name mean this function, below the covers if there are some."""
    now = getattr(where, name)
    if not hasattr(now, EXCHANGE):
        setattr(where, name, function)
        return
    while hasattr(now.__wrapped__, EXCHANGE):
        now = now.__wrapped__
    getattr(now, EXCHANGE)(function)
