"""``crossent bench linear``, with the options of ``crossent bench``."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

MORE_LEFT = 3


def measure(
    patterns: list[str], *, list_cases: bool, out: Path, seconds: float, rounds: int, threads: int | None,
    minutes: float | None, memory: bool, plans: bool, again: bool,
) -> int:  # fmt: skip
    """Measure, print, draw; the exit status."""
    from rich.console import Console

    from crossent.bench import about, record
    from crossent.bench.linear import cases as known
    from crossent.bench.linear import report, run

    console = Console() if Console().is_terminal else Console(width=160)
    try:
        chosen = known.select(patterns)
        if not chosen:
            raise ValueError(f"no case matches {', '.join(patterns)}; --list shows their names")
        if list_cases:
            for case in chosen:
                console.print(f"{case.name:36} {case.operations / 1e9:>8,.0f} GFLOP", highlight=False)
            return 0
        out.mkdir(parents=True, exist_ok=True)
        count = threads or about.threads()
        found = record.resume(out / record.FILE_NAME, about.collect(count))
    except (OSError, ValueError, KeyError, record.Unlike) as error:
        print(f"crossent bench linear: {error}", file=sys.stderr)
        return 2
    plan = run.Plan(
        threads=count, seconds=seconds, rounds=rounds, memory=memory, plans=plans, again=again, minutes=minutes,
    )  # fmt: skip
    todo = run.left(found, chosen, plan)
    done = 0
    for case, part in run.measure(found, chosen, plan):
        done += 1
        console.print(f"{case.name}: {part} measured", style="dim", highlight=False)
    report.results(console, found, [case.name for case in chosen])
    if importlib.util.find_spec("matplotlib") is not None:
        path = report.draw(out, found)
        if path is not None:
            console.print(f"plot: {path}", highlight=False, soft_wrap=True)
    if done < len(todo):
        console.print(f"{len(todo) - done} parts are left: run the same command again", highlight=False)
        return MORE_LEFT
    return 0
