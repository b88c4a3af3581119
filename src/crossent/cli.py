"""The command line: one row per command, and nothing else.

A command is a function named ``command`` in a module of its own, whose import is cheap (no torch): what it
needs it imports when it is called.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any, NamedTuple

import typer

from crossent._version import __version__
from crossent.run import launch


class Row(NamedTuple):
    """One command. ``context`` goes to click's Context: how the command's arguments are read."""

    name: str
    module: str
    context: dict[str, Any] = {}


ROWS = (
    Row("run", "crossent.run.command", {"allow_interspersed_args": False}),
    Row("demo", "crossent.demo.command"),
    Row("bench", "crossent.bench.command"),
    Row("rule", "crossent.doctor.command"),
    Row("explain", "crossent.explain.command"),
    Row("env", "crossent.env"),
    Row("warmup", "crossent.warmup"),
)


class Application(typer.Typer):
    """Typer, but for what ``run`` needs: the program starts when typer's own frames and hooks are gone."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        excepthook = sys.excepthook
        code: Any = 0
        try:
            super().__call__(*args, **kwargs)
        except SystemExit as end:
            code = end.code
        finally:
            sys.excepthook = excepthook  # typer has put its own there
        if code or not launch.pending:
            raise SystemExit(code)
        launch.run_pending()


app = Application(
    name="crossent",
    help="Cross entropy for PyTorch: exact drop-ins for torch's losses, and tools around them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"crossent {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_show_version, is_eager=True, help="Show the version."),
) -> None: ...


def _help(command: Any) -> str:
    """The docstring with a paragraph on one line, so that help breaks it where the terminal ends."""
    return "\n\n".join(" ".join(part.split()) for part in (command.__doc__ or "").split("\n\n"))


for row in ROWS:
    command = importlib.import_module(row.module).command
    app.command(row.name, help=_help(command), context_settings=row.context)(command)
