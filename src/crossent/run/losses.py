"""Put the counted losses in place: crossent's, or torch's own with ``--losses torch``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from crossent.run.on_import import after_import

CHOICES = ("crossent", "torch")


def replace_when_torch_is_there(
    losses: str, listener: Callable[[Any], None], then: Callable[[], None] | None = None
) -> None:
    """Now if torch is imported already, else right after the program has imported it; ``then`` is called afterwards."""

    def replace() -> None:
        _replace(losses, listener)
        if then is not None:
            then()

    after_import("torch", replace)


def _replace(losses: str, listener: Callable[[Any], None]) -> None:
    from crossent import handover, patching

    handover.add_listener(listener)
    if losses == "crossent":
        patching.patch()
        return
    from crossent.run import torch_counted

    torch_counted.install(listener)
