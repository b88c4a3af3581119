"""The bar while measuring: which case, what is being done, how many are done."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from crossent.bench import run, startup
from crossent.bench.cases import CPU, Case
from crossent.bench.record import Record


def measure(console: Console, found: Record, todo: Sequence[Case], plan: run.Plan) -> int:
    """Measure; how many cases were."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    measured = 0
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("starting", total=len(todo))
        names = iter([*(case.name for case in todo), ""])
        current = next(names)

        def on_event(event: dict[str, Any]) -> None:
            what = event.get("text") or f"{event.get('phase')} round {event.get('done')}/{event.get('planned')}"
            bar.update(task, description=f"[bold]{current}[/bold] {what}")

        if plan.memory and not found.start and todo and todo[0].device == CPU:
            bar.update(task, description="first call and cold compile in fresh processes")
            _start(console, found)
        for case in run.measure(found, todo, plan, on_event):
            measured += 1
            current = next(names)
            bar.update(task, advance=1)
            _say(console, case, found.cases[case.name])
    return measured


def _start(console: Console, found: Record) -> None:
    try:
        found.start = startup.collect()
    except (RuntimeError, OSError, ValueError, subprocess.TimeoutExpired) as error:
        console.print(f"first call and cold compile could not be measured: {error}", highlight=False)
    found.save()


def _say(console: Console, case: Case, report: dict[str, Any]) -> None:
    """One line per finished case, so that a long run says something without a terminal too."""
    figures = ", ".join(f"{row['provider']} {row['buffer']} {row['median_ms']:.3g} ms" for row in report["rows"])
    console.print(f"{case.name}: {figures or report['failed']}", style="dim", highlight=False, soft_wrap=True)
