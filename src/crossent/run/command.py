"""``crossent run``: run an unmodified training script with crossent's losses, and say afterwards what they did."""

from __future__ import annotations

import atexit
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from crossent.run import launch
from crossent.run.losses import CHOICES

Choice = Annotated[str, typer.Option(metavar="|".join(CHOICES), help="Which losses; torch: torch's own, only counted.")]
Json = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the counts to FILE as JSON, too.")]
IsModule = Annotated[bool, typer.Option("-m", help="PROGRAM is a module name, as in python -m.")]
Name = Annotated[
    str, typer.Argument(metavar="PROGRAM", show_default=False, help="A Python script, or with -m a module.")
]
Rest = Annotated[
    list[str] | None, typer.Argument(metavar="[ARGS]...", show_default=False, help="Arguments of the program.")
]


def command(
    program: Name, arguments: Rest = None, is_module: IsModule = False, losses: Choice = "crossent", json: Json = None
) -> None:
    """Run a training script with torch's losses replaced by crossent's, and count their calls.

    The script is not changed and runs as under plain python. At its end one line on stderr says how often
    a loss was called, with which shapes, which backend served it, and what was handed on and why.
    """
    if losses not in CHOICES:
        launch.refuse(f"--losses is {losses!r}; expected {' or '.join(CHOICES)}")
    if json is not None:
        _check_writable(json)
    chosen = launch.Program(program, is_module, tuple(arguments or ()))
    try:
        launch.check(chosen)
    except launch.UnusableProgramError as error:
        launch.refuse(str(error))
    launch.pending.append(lambda: start(chosen, losses, json))


def _check_writable(json: Path) -> None:
    """Before the training, not after it."""
    folder = json.absolute().parent
    if not folder.is_dir():
        launch.refuse(f"--json {json}: there is no folder {str(folder)!r}; make it first")
    if json.is_dir() or not os.access(json if json.exists() else folder, os.W_OK):
        launch.refuse(f"--json {json}: cannot be written; name a file that can")


def start(program: launch.Program, losses: str, json: Path | None) -> None:
    """Count from here on, report at the end of the process, run the program."""
    # atexit runs the last entry first: ours comes before multiprocessing's (which joins the children), so it is later.
    atexit.register(lambda: report())
    from crossent.run import children
    from crossent.run.losses import replace_when_torch_is_there

    family = children.found(losses)
    report_to = None if json is None else json.absolute()  # the program may change the folder

    def report() -> None:
        if not family.is_root:  # a forked child that ends by sys.exit
            family.write(finished=True)
            return
        from crossent.run import summary

        outcome = summary.Outcome(family, str(program))
        _flush()
        for line in outcome.lines():
            print(line, file=sys.stderr)
        if report_to is not None:
            summary.write_json(outcome, report_to)

    family.before_exec = report
    replace_when_torch_is_there(losses, family.counts)
    launch.execute(program)


def _flush() -> None:
    """The program's own output comes first, even where stdout is a file."""
    try:
        sys.stdout.flush()
    except (AttributeError, OSError, ValueError):  # closed, or None under pythonw
        pass
