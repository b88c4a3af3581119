"""Do something right after a module was imported, without importing it.

``crossent run`` leaves the import of torch to the program: environment variables that the program sets
first still count, and a program that never imports torch starts as fast as ever.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


def after_import(name: str, callback: Callable[[], None]) -> None:
    """Call ``callback`` once: now if ``name`` is imported already, else when its import has succeeded."""
    if name in sys.modules:
        callback()
    else:
        sys.meta_path.insert(0, _Watch(name, callback))


class _Watch(MetaPathFinder):
    """Finds nothing itself; lends the loader that the others find an ``exec_module`` that calls back."""

    def __init__(self, name: str, callback: Callable[[], None]) -> None:
        self.name = name
        self.callback = callback

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self.name or self not in sys.meta_path:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is None or spec.loader is None:
            sys.meta_path.insert(0, self)  # not found: it may be there later
            return spec
        self._lend(spec.loader)
        return spec

    def _lend(self, loader: Any) -> None:
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            del loader.exec_module  # the class's own method is seen again
            try:
                execute(module)
            except BaseException:
                sys.meta_path.insert(0, self)
                raise
            self.callback()

        loader.exec_module = exec_module
