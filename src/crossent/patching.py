"""One switch: the names in ``torch.nn.functional`` mean crossent's functions, or torch's again.

Functions only, never classes. ``torch.nn.CrossEntropyLoss``, ``NLLLoss``, ``LogSoftmax`` and
``LinearCrossEntropyLoss`` look the functions up by name in ``torch.nn.functional`` at every call, so they
follow, in models that exist already too. What is put there are crossent's very functions: no wrapper, so
``torch.jit.script`` compiles them and ``torch.compile`` traces through them as if they were called by
their own name.

Not reached, because nothing looks a name up there: ``Tensor.log_softmax`` and ``torch.log_softmax``;
names bound before the patch (``from torch.nn.functional import cross_entropy`` in a module that is
imported already), which are found in ``sys.modules`` and reported; references kept elsewhere (an
instance attribute, a default argument), which are not found; what ``torch.jit.script`` or
``torch.compile`` compiled before.

The module is not called ``patch`` because ``crossent.patch`` is the function.
"""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any, NamedTuple

import torch.nn.functional as F

from crossent import functional
from crossent.covered import Function, put, under
from crossent.linear import functional as linear_functional

OURS: dict[str, Function] = {
    "cross_entropy": under(functional.cross_entropy),  # this module may be loaded while the doctor watches
    "nll_loss": under(functional.nll_loss),
    "log_softmax": under(functional.log_softmax),
    "linear_cross_entropy": under(linear_functional.linear_cross_entropy),  # torch has it from 2.13 on
}
COUNTS_ONLY = "__crossent_counts_only__"  # marks the functions of `crossent run --losses torch`


class BoundName(NamedTuple):
    """A name outside ``torch.nn.functional`` that still means torch's function."""

    module: str
    name: str
    function: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


_lock = threading.RLock()
_originals: dict[str, Function] = {}  # what was found under each name that is crossent's, or covered by somebody
_holders: list[Patch] = []  # who wants the patch: it is undone when the last one lets go


class Patch:
    """What :func:`patch` returns: the patch is in force already; ``with`` bounds it."""

    def __init__(self, bound_before: tuple[BoundName, ...]) -> None:
        self.bound_before = bound_before
        self._entered = False
        _holders.append(self)

    def __enter__(self) -> Patch:
        with _lock:
            if self._entered or self not in _holders:  # entered before: hold once more
                _holders.append(self)
                _exchange()
            self._entered = True
        return self

    def __exit__(self, *exception: object) -> None:
        with _lock:
            if self in _holders:
                _holders.remove(self)
            if not _holders:
                _restore()

    def __repr__(self) -> str:
        names = ", ".join(name for name in replacements() if is_patched(name))
        return f"<crossent.patch: {f'torch.nn.functional.[{names}] are crossent' if names else 'not in force'}>"


def replacements() -> dict[str, Function]:
    """The functions that both torch and crossent have, by name."""
    return {name: ours for name, ours in OURS.items() if hasattr(F, name)}


def standing(name: str) -> Function:
    """What ``torch.nn.functional.<name>`` is now, be it watched by the doctor or not."""
    return under(getattr(F, name))


def is_patched(name: str) -> bool:
    """Whether ``torch.nn.functional.<name>`` is crossent's function now."""
    return standing(name) is replacements().get(name)


def is_wanted() -> bool:
    """Whether somebody has asked for the patch and not let go of it."""
    return bool(_holders)


def patch() -> Patch:
    """Replace torch's loss functions by crossent's, everywhere in this process.

    Either a plain call, undone by :func:`unpatch`, or a ``with`` block, undone at its end. Blocks nest:
    the outermost one, or a plain call around them, decides when torch's functions come back. Repeating
    a plain call changes nothing. The patch holds for all threads, and for processes forked from this
    one; a spawned process has to call it itself.

    Returns: a context manager whose ``bound_before`` lists the names that were bound to torch's functions
    before and go on meaning them.

    Warns: RuntimeWarning - names are bound before, or somebody else has replaced a function already.

    Example:
        >>> import torch, crossent
        >>> with crossent.patch():
        ...     torch.nn.functional.cross_entropy is crossent.cross_entropy
        True
        >>> torch.nn.functional.cross_entropy is crossent.cross_entropy
        False
    """
    with _lock:
        bound: tuple[BoundName, ...] = ()
        if not all(is_patched(name) for name in replacements()):
            bound = tuple(bound_before())
            _warn(_foreign_before() + _bound_text(bound))  # first: a warning made an error leaves torch as it was
            _exchange()
        return Patch(bound)


def unpatch() -> None:
    """Put torch's functions back, whoever asked for the patch and however often.

    Every function that is crossent's becomes the very object that was found there. A function that
    somebody else has put over crossent's meanwhile stays, with a RuntimeWarning.
    """
    with _lock:
        _holders.clear()
        _restore()


def bound_before(functions: dict[str, Function] | None = None) -> Iterator[BoundName]:
    """Module-level names outside torch and crossent that mean what ``torch.nn.functional`` means now."""
    if functions is None:
        functions = {name: standing(name) for name in replacements()}
    wanted = {id(function): name for name, function in functions.items()}
    seen: set[int] = set()
    for module_name, module in list(sys.modules.items()):
        if module_name.partition(".")[0] in ("torch", "crossent") or id(module) in seen:
            continue
        seen.add(id(module))
        for name, value in list(_namespace(module).items()):
            if id(value) in wanted:
                yield BoundName(module_name, name, wanted[id(value)])


def _namespace(module: ModuleType) -> dict[str, Any]:
    """A module's own names; asked this way, a lazy module loads nothing."""
    try:
        return object.__getattribute__(module, "__dict__")
    except AttributeError:  # sys.modules may hold anything
        return {}


def _exchange() -> None:
    for name, ours in replacements().items():
        if not is_patched(name):
            _originals[name] = standing(name)
            put(F, name, ours)


def _restore() -> None:
    ours = replacements()
    covered: list[str] = []
    for name, original in list(_originals.items()):
        now = standing(name)
        if now is not ours[name] and now is not original:
            covered.append(_left_alone(name, now))  # the original is kept: that one may bring crossent's back
            continue
        put(F, name, original)
        del _originals[name]
    _warn(covered)


def _foreign_before() -> list[str]:
    """Sentences on functions that are not torch's own before the patch."""
    return [
        f"torch.nn.functional.{name} was replaced before, by {full_name(now)}; crossent's takes its place now, "
        "and unpatch() brings that one back. To keep it, do not call crossent.patch()."
        for name, ours in replacements().items()
        if (now := standing(name)) is not ours
        and getattr(now, "__module__", None) != F.__name__
        and not hasattr(now, COUNTS_ONLY)
    ]


def _bound_text(bound: tuple[BoundName, ...]) -> list[str]:
    if not bound:
        return []
    names = ", ".join(map(str, bound[:5])) + (f" and {len(bound) - 5} more" if len(bound) > 5 else "")
    return [
        f"bound to torch's functions before crossent.patch(), and they stay torch's: {names}. "
        "Call crossent.patch() before those modules are imported, or write torch.nn.functional.<name>(...) there."
    ]


def _left_alone(name: str, now: Function) -> str:
    return (
        f"torch.nn.functional.{name} is not what crossent.patch() put there but {full_name(now)}: it was replaced "
        "after the patch and is left as it is. It may go on calling crossent's function; undo that replacement "
        "before crossent's, in the reverse order of the two."
    )


def full_name(function: Function) -> str:
    return f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', repr(function))}"


def _warn(sentences: list[str]) -> None:
    """One warning that points at the line outside this module which called."""
    level = 2
    while (frame := _frame(level)) is not None and frame.f_globals.get("__name__") == __name__:
        level += 1
    for sentence in sentences:
        warnings.warn(f"crossent: {sentence}", RuntimeWarning, stacklevel=level)


def _frame(level: int) -> Any:
    try:
        return sys._getframe(level)  # pyright: ignore[reportPrivateUsage]
    except ValueError:
        return None
