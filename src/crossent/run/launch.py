"""Run a program as ``python program`` would: nothing that it can see of itself differs.

What plain Python sets up before the first line of a script or module is set up here: a fresh
``__main__`` module (so that pickling and ``multiprocessing`` find the program's own functions),
``sys.argv``, ``sys.path[0]``, ``__file__``, ``__spec__``. An exception, ``SystemExit`` or Ctrl-C goes
up through the interpreter itself, which decides the exit status; only our own frames are cut from the
traceback that it shows.
"""

from __future__ import annotations

import importlib.util
import io
import os
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, SourceFileLoader, SourcelessFileLoader
from types import CodeType, ModuleType
from typing import Any, NoReturn, cast


class UnusableProgramError(Exception):
    """There is nothing to run; the message says what is wrong and what to write instead."""


@dataclass(frozen=True)
class Program:
    """What stands on the command line after ``crossent run [options]``."""

    name: str  # a path, or with is_module a dotted name
    is_module: bool
    arguments: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"-m {self.name}" if self.is_module else self.name

    @property
    def is_container(self) -> bool:
        """A folder or zip file that holds a ``__main__.py``."""
        return not self.is_module and (os.path.isdir(self.name) or zipfile.is_zipfile(self.name))


pending: list[Callable[[], None]] = []  # what runs once the command line's own frames are gone (cli.py)
_replaced: list[ModuleType] = []  # the __main__ before; kept, or its globals would be cleared


def check(program: Program) -> None:
    """Refuse what can be known to be unusable before anything is set up."""
    if program.is_module:
        _check_module_name(program.name)
    elif not os.path.exists(program.name):
        raise UnusableProgramError(_missing(program.name))
    elif os.path.isdir(program.name) and not _has_main(program.name):
        raise UnusableProgramError(
            f"{program.name!r} is a folder without a __main__.py. Name a script in it, or run it as a module: "
            "crossent run -m package.module"
        )
    elif os.path.isfile(program.name) and not os.access(program.name, os.R_OK):
        raise UnusableProgramError(f"{program.name!r} cannot be read: permission denied")


def _has_main(folder: str) -> bool:
    return any(os.path.isfile(os.path.join(folder, name)) for name in ("__main__.py", "__main__.pyc"))


def _check_module_name(name: str) -> None:
    if name.endswith(".py") and not name.isidentifier() and os.path.exists(name):
        raise UnusableProgramError(f"-m takes a module name, and {name!r} is a file. Write: crossent run {name}")
    if not all(part.isidentifier() for part in name.split(".")):
        raise UnusableProgramError(f"-m takes a module name such as package.module, and {name!r} is none")


def _missing(name: str) -> str:
    text = f"there is no file {name!r} (looked in {os.getcwd()})."
    if all(part.isidentifier() for part in name.split(".")) and not name.endswith(".py"):
        return f"{text} If it is a module, write: crossent run -m {name}"
    return f"{text} Expected the path of a Python script; options of crossent come before it, its own after it"


def execute(program: Program) -> None:
    """Run the program in this process; what it raises comes out as under plain Python."""
    spec, loader, code = _located(program)
    main = _fresh_main(spec, loader, program)
    try:
        exec(code, main.__dict__)  # noqa: S102 - the program that the user named, as `python` would run it
    except (Exception, KeyboardInterrupt) as error:
        _hide_our_frames(error)
        raise


def _located(program: Program) -> tuple[ModuleSpec | None, Any, CodeType]:
    """Set ``sys.argv`` and ``sys.path`` and read the code."""
    sys.argv[:] = ["-m" if program.is_module else program.name, *program.arguments]
    _set_path(program)
    if not program.is_module and not program.is_container:
        return (None, *_read_script(program.name))
    spec = _find_spec(program)
    sys.argv[0] = program.name if program.is_container else str(spec.origin)
    code = _or_show(lambda: cast(Any, spec.loader).get_code(spec.name))
    if code is None:
        raise UnusableProgramError(f"{program.name!r} has no Python code to run (found {spec.origin})")
    return spec, spec.loader, code


def _set_path(program: Program) -> None:
    """``sys.path[0]`` is the place of crossent's own start until here, unless Python was told to add none."""
    has_first = not (sys.flags.isolated or getattr(sys.flags, "safe_path", False))
    if program.is_container:
        first = os.path.abspath(program.name)
    elif has_first:
        first = os.getcwd() if program.is_module else os.path.dirname(os.path.realpath(program.name))
    else:
        return
    sys.path[: int(has_first)] = [first]


def _read_script(name: str) -> tuple[Any, CodeType]:
    path = absolute(name)
    if path.endswith(".pyc"):
        compiled = SourcelessFileLoader("__main__", path)
        return compiled, cast(CodeType, _or_show(lambda: compiled.get_code("__main__")))
    with io.open_code(path) as file:
        source = file.read()
    loader = SourceFileLoader("__main__", path)
    return loader, _or_show(lambda: compile(source, path, "exec", dont_inherit=True))


def absolute(name: str) -> str:
    """A script's ``__file__``: on POSIX Python does not tidy ``./`` or ``../`` away."""
    return os.path.abspath(name) if os.name == "nt" else os.path.join(os.getcwd(), name)


def _find_spec(program: Program) -> ModuleSpec:
    name = "__main__" if program.is_container else program.name
    if program.is_container:
        _replaced.append(sys.modules.pop("__main__"))  # importlib would answer with it
    spec = _or_show(lambda: _spec_or_refusal(name, program))
    if spec.submodule_search_locations is not None:
        spec = _or_show(lambda: _spec_or_refusal(f"{name}.__main__", program))
    return spec


def _spec_or_refusal(name: str, program: Program) -> ModuleSpec:
    missing: str | None = None
    spec = None
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # the parent package was found, and fails to import something else
        missing = error.name
    if spec is not None:
        return spec
    if name.endswith("__main__"):
        raise UnusableProgramError(f"{program.name!r} has no __main__.py, so it cannot be run as a whole")
    hint = f". If it is a file, write: crossent run {program.name}.py" if os.path.exists(f"{program.name}.py") else ""
    raise UnusableProgramError(f"there is no module {missing or name!r} (looked along sys.path){hint}")


def _or_show(step: Any) -> Any:
    """What goes wrong while reading the program (a SyntaxError, say) is the program's error, not ours."""
    try:
        return step()
    except UnusableProgramError:
        raise
    except Exception as error:
        _hide_our_frames(error, all_frames=isinstance(error, SyntaxError))
        raise


def _fresh_main(spec: ModuleSpec | None, loader: Any, program: Program) -> ModuleType:
    main = ModuleType("__main__")
    path = spec.origin if spec is not None else absolute(program.name)
    main.__dict__.update(
        __file__=path,
        __loader__=loader,
        __spec__=spec,
        __package__=None if spec is None else spec.parent,
        __cached__=None if spec is None else spec.cached,
        __builtins__=sys.modules["builtins"],
    )
    if sys.version_info < (3, 14):
        main.__dict__.update(__annotations__={})
    if "__main__" in sys.modules:
        _replaced.append(sys.modules["__main__"])
    sys.modules["__main__"] = main
    return main


def _hide_our_frames(error: BaseException, all_frames: bool = False) -> None:
    """Let whoever shows the exception start at the program's first frame."""
    trace = None if all_frames or error.__traceback__ is None else error.__traceback__.tb_next
    shown_by = sys.excepthook

    def show(kind: type[BaseException], value: BaseException, _: Any) -> None:
        if value is error:
            shown_by(kind, value.with_traceback(trace), trace)
        else:
            shown_by(kind, value, value.__traceback__)

    sys.excepthook = show


def refuse(text: str) -> NoReturn:
    """The end of a command that cannot start."""
    print(f"crossent run: {text}", file=sys.stderr)
    raise SystemExit(2)


def run_pending() -> None:
    """What a command has left to be done at the very end of the command line's work."""
    try:
        pending.pop()()
    except UnusableProgramError as error:
        refuse(str(error))
