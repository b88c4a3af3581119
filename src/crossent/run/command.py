"""``crossent run``: run an unmodified training script with crossent's losses, and say afterwards what they did."""

from __future__ import annotations

import atexit
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from crossent.run import launch
from crossent.run.doctoring import SUFFIXES, Doctoring, Wish
from crossent.run.losses import CHOICES

Choice = Annotated[str, typer.Option(metavar="|".join(CHOICES), help="Which losses; torch: torch's own, only counted.")]
Json = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the counts to FILE as JSON, too.")]
IsModule = Annotated[bool, typer.Option("-m", help="PROGRAM is a module name, as in python -m.")]
Name = Annotated[
    str, typer.Argument(metavar="PROGRAM", show_default=False, help="A Python script, or with -m a module.")
]
Rest = Annotated[list[str] | None, typer.Argument(metavar="ARGS", show_default=False, help="Arguments of the program.")]
IsDoctored = Annotated[bool, typer.Option("--doctor", help="Look for misuses of losses while the program runs.")]
ReportTo = Annotated[
    Path | None, typer.Option("--report", metavar="FILE", help="--doctor's report as .html, .json, .sarif or .txt.")
]
IsStrict = Annotated[bool, typer.Option("--strict", help="With --doctor: exit status 1 if it warns.")]
Steps = Annotated[
    int | None, typer.Option(min=1, help="With --doctor: watch that many optimizer steps (3 unless given), ...")
]
Every = Annotated[
    int | None, typer.Option(min=0, help="... and then every so-many-th (1000 unless given); 0: no more.")
]


def command(
    program: Name,
    arguments: Rest = None,
    is_module: IsModule = False,
    losses: Choice = "crossent",
    json: Json = None,
    doctor: IsDoctored = False,
    report: ReportTo = None,
    strict: IsStrict = False,
    steps: Steps = None,
    every: Every = None,
) -> None:
    """Run a training script with torch's losses replaced by crossent's, and count their calls.

    The script is not changed and runs as under plain python. At its end one line on stderr says how often
    a loss was called, with which shapes, which backend served it, and what was handed on and why. With
    --doctor, what is wrong with the way it uses losses is said while it happens, with file and line.
    """
    if losses not in CHOICES:
        launch.refuse(f"--losses is {losses!r}; expected {' or '.join(CHOICES)}")
    if json is not None:
        _check_writable("--json", json)
    of_the_doctor = {"--report": report, "--strict": strict or None, "--steps": steps, "--every": every}
    given = [name for name, value in of_the_doctor.items() if value is not None]
    if given and not doctor:
        verb = "belong" if len(given) > 1 else "belongs"
        launch.refuse(f"{' and '.join(given)} {verb} to --doctor; write: crossent run --doctor {' '.join(given)} ...")
    doctoring = Doctoring(doctoring_wish(report, strict, steps, every)) if doctor else None
    chosen = launch.Program(program, is_module, tuple(arguments or ()))
    try:
        launch.check(chosen)
    except launch.UnusableProgramError as error:
        launch.refuse(str(error))
    launch.pending.append(lambda: start(chosen, losses, json, doctoring))


def doctoring_wish(report: Path | None, strict: bool, steps: int | None, every: int | None) -> Wish:
    """The doctor's part of the command line, checked."""
    if report is not None:
        if report.suffix not in SUFFIXES:
            launch.refuse(f"--report {report}: expected a name that ends in {', '.join(SUFFIXES)}")
        _check_writable("--report", report)
    often = {name: value for name, value in (("steps", steps), ("every", every)) if value is not None}
    return Wish(None if report is None else report.absolute(), strict, **often)


def _check_writable(option: str, path: Path) -> None:
    """Before the training, not after it."""
    folder = path.absolute().parent
    if not folder.is_dir():
        launch.refuse(f"{option} {path}: there is no folder {str(folder)!r}; make it first")
    if path.is_dir() or not os.access(path if path.exists() else folder, os.W_OK):
        launch.refuse(f"{option} {path}: cannot be written; name a file that can")


def start(program: launch.Program, losses: str, json: Path | None, doctoring: Doctoring | None = None) -> None:
    """Count from here on, report at the end of the process, run the program."""
    # atexit runs the last entry first: ours comes before multiprocessing's (which joins the children), so it is later.
    atexit.register(lambda: report())
    from crossent.run import children
    from crossent.run.losses import replace_when_torch_is_there

    family = children.found(losses, doctoring)
    report_to = None if json is None else json.absolute()  # the program may change the folder

    def report() -> None:
        if not family.is_root:  # a forked child that ends by sys.exit
            family.write(finished=True)
            return
        from crossent.run import summary

        if doctoring is not None:
            doctoring.end()
        outcome = summary.Outcome(family, str(program))
        _flush()
        for line in outcome.lines():
            print(line, file=sys.stderr)
        if report_to is not None:
            summary.write_json(outcome, report_to)
        if doctoring is not None:
            doctoring.conclude()

    family.before_exec = report
    if doctoring is not None:
        doctoring.read_children = family.findings
    replace_when_torch_is_there(losses, family.counts, None if doctoring is None else doctoring.begin)
    if doctoring is None:
        launch.execute(program)
    else:
        _execute_watched(program, doctoring)


def _execute_watched(program: launch.Program, doctoring: Doctoring) -> None:
    """The exit status is the program's own, unless ``--strict`` has something against a success."""
    try:
        launch.execute(program)
    except Exception as error:
        doctoring.explain(error)
        raise
    except SystemExit as end:
        doctoring.end()
        if end.code in (None, 0) and doctoring.failed:
            raise SystemExit(1) from None
        raise
    doctoring.end()
    if doctoring.failed:
        raise SystemExit(1)


def _flush() -> None:
    """The program's own output comes first, even where stdout is a file."""
    try:
        sys.stdout.flush()
    except (AttributeError, OSError, ValueError):  # closed, or None under pythonw
        pass
