"""The command line of the benchmark."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

What = Annotated[
    str | None,
    typer.Argument(metavar="linear", help="linear: losses of a linear head, beside the bare matrix products."),
]
Cases = Annotated[
    list[str] | None,
    typer.Option(
        "--cases",
        metavar="PATTERN",
        help="Only cases with this in their name, or matching * and ?; may be repeated, or a list with commas.",
    ),
]
Dtype = Annotated[
    list[str] | None, typer.Option("--dtype", metavar="fp32|bf16", help="Only this dtype; may be repeated.")
]
Providers = Annotated[
    list[str] | None,
    typer.Option(
        "--providers", metavar="NAME", help="Only these providers; may be repeated. The copy is always timed."
    ),
]
Quick = Annotated[bool, typer.Option("--quick", help="Four cases, no memory: two or three minutes.")]
Device = Annotated[
    str,
    typer.Option("--device", metavar="cpu|cuda", help="Where; cuda has cases of its own, linear heads among them."),
]
List = Annotated[
    bool, typer.Option("--list", help="Print the cases with the bytes they move, and the providers; measure nothing.")
]
Out = Annotated[
    Path,
    typer.Option(
        "--out", metavar="DIR", help="Folder of result.json and the plots; a run that was stopped goes on there."
    ),
]
Check = Annotated[
    Path | None,
    typer.Option("--check", metavar="RESULT.json", help="Hold a result against the promises; measure nothing."),
]
Plot = Annotated[
    Path | None, typer.Option("--plot", metavar="RESULT.json", help="Draw the plots of a result again, beside it.")
]
Seconds = Annotated[float, typer.Option(min=0, help="Time for the rounds of a case; at least --rounds are made.")]
Rounds = Annotated[int, typer.Option(min=1, help="Rounds at least. The median of fewer than 7 is no result.")]
Threads = Annotated[
    int | None, typer.Option(min=1, help="For everybody; the cores of this process unless given.", show_default=False)
]
Minutes = Annotated[
    float | None, typer.Option(min=0, help="Begin no case after that many minutes; run again to go on.")
]
Memory = Annotated[bool, typer.Option("--memory/--no-memory", help="Peak memory in processes of their own.")]
Again = Annotated[bool, typer.Option("--again", help="Measure again what the file has.")]
RedoBusy = Annotated[bool, typer.Option("--redo-busy", help="Measure again what was disturbed by other programs.")]

FILE_NAME = "result.json"
MORE_LEFT = 3  # exit status: stopped by --minutes


def command(
    what: What = None, cases: Cases = None, dtype: Dtype = None, providers: Providers = None, quick: Quick = False,
    device: Device = "cpu", list_cases: List = False, out: Out = Path("crossent-bench"), check: Check = None,
    plot: Plot = None, seconds: Seconds = 8.0, rounds: Rounds = 7, threads: Threads = None, minutes: Minutes = None,
    memory: Memory = True, again: Again = False, redo_busy: RedoBusy = False,
) -> None:  # fmt: skip
    """Measure crossent beside torch eager and torch.compile: results compared, then timed in turns.

    Exit status: 0 done (with --check: nothing measured is missed), 1 a promise is missed, 2 it cannot run, 3 stopped by
    --minutes with cases left.
    """
    from rich.console import Console

    # A report that is piped into a file keeps its columns.
    console = Console() if Console().is_terminal else Console(width=160)
    patterns = [pattern.strip() for value in cases or () for pattern in value.split(",") if pattern.strip()]
    if what is not None:
        raise typer.Exit(
            _linear(
                what, patterns, list_cases=list_cases, out=out, seconds=seconds, rounds=rounds, threads=threads,
                minutes=minutes, memory=memory and not quick, plans=not quick, again=again,
            )
        )  # fmt: skip
    if check is not None:
        raise typer.Exit(_check(console, check))
    if plot is not None:
        raise typer.Exit(_plot(console, plot))
    chosen = _chosen(patterns, dtype or (), quick, device)
    if list_cases:
        return _list(console, chosen)
    plan = _plan(providers, seconds, rounds, threads, minutes, memory and not quick, again, redo_busy)
    raise typer.Exit(_measure(console, chosen, plan, out))


def _linear(what: str, patterns: list[str], **how: Any) -> int:
    """The part of the benchmark that has cases, providers and a table of its own."""
    if what != "linear":
        raise _refuse(f"no part is called {what!r}; expected linear, or nothing for losses of logits")
    from crossent.bench.linear.command import measure

    return measure(patterns, **how)


def _refuse(text: str) -> typer.Exit:
    typer.echo(f"crossent bench: {text}", err=True)
    return typer.Exit(2)


def _chosen(patterns: Sequence[str], dtypes: Sequence[str], quick: bool, device: str) -> list[Any]:
    from crossent.bench import cases, places

    if device not in (cases.CPU, cases.CUDA, cases.STAND_IN):
        raise _refuse(str(places.why_not(device)))

    unknown = sorted(set(dtypes) - set(cases.ITEM_BYTES))
    if unknown:
        raise _refuse(f"--dtype is {unknown[0]!r}; expected one of {', '.join(cases.ITEM_BYTES)}")
    chosen = cases.select(patterns, dtypes, quick=quick, device=device)
    if not chosen:
        raise _refuse(f"no case matches {', '.join(map(repr, patterns)) or 'that'}; --list shows their names")
    return chosen


def _list(console: Any, chosen: list[Any]) -> None:
    from crossent.bench import providers

    width = max(len(case.name) for case in chosen)
    for case in chosen:
        figure = f"moves {case.moved_bytes / 1e6:>10,.3f} MB"
        if case.features:
            figure = f"{case.operations / 1e12:>10,.3f} TFLOP"
        console.print(f"{case.name:{width}}  {figure}", highlight=False)
    console.print("\nproviders:", ", ".join(provider.label for provider in providers.ALL), highlight=False)


def _plan(
    asked: list[str] | None, seconds: float, rounds: int, threads: int | None, minutes: float | None, memory: bool,
    again: bool, redo_busy: bool,
) -> Any:  # fmt: skip
    from crossent.bench import about, providers, run

    known = [provider.label for provider in providers.ALL]
    unknown = [name for name in asked or () if name not in known]
    if unknown:
        raise _refuse(f"--providers is {unknown[0]!r}; expected one of {', '.join(map(repr, known))}")
    return run.Plan(
        threads=threads or about.threads(), providers=tuple(asked or known), seconds=seconds, rounds=rounds,
        memory=memory, again=again, redo_busy=redo_busy, minutes=minutes,
    )  # fmt: skip


def _measure(console: Any, chosen: list[Any], plan: Any, out: Path) -> int:
    from crossent.bench import about, places, progress, record, run, table

    reason = places.why_not(chosen[0].device)
    if reason is not None:
        raise _refuse(reason)
    try:
        out.mkdir(parents=True, exist_ok=True)
        found = record.resume(out / FILE_NAME, about.collect(plan.threads, chosen[0].device))
    except (OSError, ValueError, KeyError, record.Unlike) as error:
        raise _refuse(f"--out {str(out)!r}: {error}") from None
    todo = run.left(found, chosen, plan)
    measured = progress.measure(console, found, todo, plan)
    table.results(console, found, [case.name for case in chosen])
    _draw(console, out, found)
    console.print(f"result: {out / FILE_NAME}", highlight=False, soft_wrap=True)
    if measured < len(todo):
        console.print(f"{len(todo) - measured} cases are left: run the same command again", highlight=False)
        return MORE_LEFT
    return 0


def _draw(console: Any, folder: Path, found: Any) -> None:
    if importlib.util.find_spec("matplotlib") is None:
        console.print("no plots: matplotlib is missing; write: pip install 'crossent[bench]'", highlight=False)
        return
    from crossent.bench import plots

    for path in plots.draw(folder, found):
        console.print(f"plot: {path}", highlight=False, soft_wrap=True)


def _load(path: Path) -> Any:
    from crossent.bench import record

    try:
        return record.load(path)
    except (OSError, ValueError, KeyError, record.Unlike) as error:
        raise _refuse(f"{str(path)!r} is no result: {error}") from None


def _check(console: Any, path: Path) -> int:
    from crossent.bench import table

    return 0 if table.verdicts(console, _load(path)) else 1


def _plot(console: Any, path: Path) -> int:
    _draw(console, path.parent, _load(path))
    return 0
