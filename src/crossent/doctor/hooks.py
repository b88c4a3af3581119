"""Where the doctor listens: names in ``torch.nn.functional``, ``Tensor.backward``, the end of optimizer steps.

Functions only, put back as they were. While ``torch.compile`` or ``torch.jit`` reads them, they are the functions that
were there before. ``Tensor.backward`` is itself between watched steps: a look at it there would be for nothing.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch.optim.optimizer import register_optimizer_step_post_hook

from crossent import functional, internals
from crossent.covered import EXCHANGE
from crossent.doctor.arguments import POSITIONAL
from crossent.linear import functional as linear_functional
from crossent.scripted import compiles_as

MARK = "__crossent_watches__"  # on every function that the doctor has put somewhere
CROSSENTS: dict[str, tuple[str, ModuleType]] = {  # crossent's name: (what it is to the doctor, where it is defined)
    "cross_entropy": ("cross_entropy", functional),
    "nll_loss": ("nll_loss", functional),
    "cross_entropy_with_stats": ("cross_entropy", functional),
    "linear_cross_entropy": ("linear_cross_entropy", linear_functional),
    "linear_cross_entropy_with_stats": ("linear_cross_entropy", linear_functional),
    "linear_log_prob": ("linear_log_prob", linear_functional),
}


class Hooks:
    """What one watch has put in place."""

    def __init__(self, watch: Any) -> None:
        self._watch = watch
        self._placed: list[tuple[Any, str, Any]] = []  # (where, name, ours)
        self._backward: tuple[Any, Any] | None = None  # (before, ours), while it is in place
        self._handle: Any = None

    def install(self) -> None:
        if self._placed:
            return
        for name in POSITIONAL:
            if hasattr(F, name):  # linear_cross_entropy came with torch 2.13
                self._place(F, name, self._loss(name, getattr(F, name)))
        self._place(F, "embedding", self._embedding(F.embedding))
        self._place(F, "interpolate", self._interpolate(F.interpolate))
        self._place_on_crossents()
        self._handle = register_optimizer_step_post_hook(self._watch.optimizer_step)

    def attend(self, is_due: bool) -> None:
        """Look at ``Tensor.backward``, or let it alone until the next step that is due."""
        where = cast(Any, torch.Tensor)
        if is_due and self._backward is None:
            self._backward = (where.backward, self._watched_backward(where.backward))
            where.backward = self._backward[1]
        elif not is_due and self._backward is not None and where.backward is self._backward[1]:
            where.backward = self._backward[0]
            self._backward = None

    def _place_on_crossents(self) -> None:
        """crossent's functions under their own names; its modules look them up where they are defined."""
        ours: ModuleType = sys.modules["crossent"]
        for name, (known_as, home) in CROSSENTS.items():
            watched = self._loss(known_as, getattr(ours, name))  # loads it: the package keeps it from then on
            self._place(home, name, watched)
            self._place(ours, name, watched)

    def remove(self) -> None:
        self.attend(False)
        for where, name, ours in reversed(self._placed):
            if getattr(where, name) is ours:  # else somebody has put something over it: leave that alone
                setattr(where, name, ours.__wrapped__)
        self._placed.clear()
        if self._handle is not None:
            self._handle.remove()
            self._handle = None

    def _place(self, where: Any, name: str, ours: Any) -> None:
        setattr(ours, MARK, True)
        setattr(where, name, ours)
        self._placed.append((where, name, ours))

    def _loss(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        """A cover (:mod:`crossent.covered`): what lies under it may be exchanged."""
        watch = self._watch

        @functools.wraps(original)
        def watched(*args: Any, **kwargs: Any) -> Any:
            if torch.compiler.is_dynamo_compiling():  # asked first: Dynamo is not to see that watching comes and goes
                return original(*args, **kwargs)
            if watch.is_due and not internals.makes_graph() and internals.tracing_state() is None:
                return watch.call(name, original, args, kwargs)
            try:
                return original(*args, **kwargs)
            except Exception as error:
                watch.refused(name, args, kwargs, error)
                raise

        def exchange(function: Callable[..., Any]) -> None:
            nonlocal original
            original = function
            _covers(watched, original)

        setattr(watched, EXCHANGE, exchange)
        _covers(watched, original)
        return watched

    def _embedding(self, original: Callable[..., Any]) -> Callable[..., Any]:
        watch = self._watch

        @functools.wraps(original)
        def watched(input: Any, weight: Any, padding_idx: Any = None, *args: Any, **kwargs: Any) -> Any:
            if not internals.makes_graph() and watch.is_due:
                watch.embedding(input, weight, padding_idx)
            return original(input, weight, padding_idx, *args, **kwargs)

        return compiles_as(original)(watched)

    def _interpolate(self, original: Callable[..., Any]) -> Callable[..., Any]:
        watch = self._watch

        @functools.wraps(original)
        def watched(input: Any, *args: Any, **kwargs: Any) -> Any:
            result = original(input, *args, **kwargs)
            if not internals.makes_graph() and watch.is_due:
                watch.interpolated(input, result)
            return result

        return compiles_as(original)(watched)

    def _watched_backward(self, original: Callable[..., Any]) -> Callable[..., Any]:
        watch = self._watch

        @functools.wraps(original)
        def backward(self: Any, *args: Any, **kwargs: Any) -> Any:
            if watch.is_due and not internals.makes_graph():
                return watch.backward(self, original, *args, **kwargs)
            return original(self, *args, **kwargs)

        setattr(backward, MARK, True)
        return backward


def _covers(watched: Any, original: Any) -> None:
    """What ``inspect``, ``torch.jit.script`` and :mod:`crossent.covered` find below a watched loss."""
    watched.__wrapped__ = original
    compiles_as(getattr(original, "__original_fn", original))(watched)
