"""The command line of the demo, and the order of what it does."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

NEEDS = {"sklearn": "scikit-learn", "matplotlib": "matplotlib"}
LARGE = (2048, 32000)
QUICK_LARGE = (256, 32000)
ROUNDS = 3  # fresh processes per provider
STEPS, QUICK_STEPS = 400, 60

Steps = Annotated[int | None, typer.Option(min=1, help=f"Training steps; {STEPS} unless given.", show_default=False)]
Out = Annotated[Path, typer.Option(metavar="FILE", help="Where the plot goes (PNG).")]
Quick = Annotated[bool, typer.Option("--quick", help="A few steps, a smaller large loss: some seconds.")]


def command(steps: Steps = None, out: Out = Path("crossent-demo.png"), quick: Quick = False) -> None:
    """Train on handwritten digits with torch's loss and with crossent's, compare, and draw a plot.

    Exit status: 0 if both agree as they must, 1 if a check fails, 2 if the demo cannot run.
    """
    _check_usable(out)
    from rich.console import Console

    console = Console()
    results = _demo(console, steps or (QUICK_STEPS if quick else STEPS), out, quick)
    if not all(check.kept for check in results):
        raise typer.Exit(1)


def _check_usable(out: Path) -> None:
    missing = [name for module, name in NEEDS.items() if importlib.util.find_spec(module) is None]
    if missing:
        _refuse(f"{' and '.join(missing)} is missing; write: pip install 'crossent[demo]'")
    if out.suffix.lower() != ".png":
        _refuse(f"--out is {str(out)!r}; expected a name that ends in .png")
    if not out.absolute().parent.is_dir():
        _refuse(f"--out is {str(out)!r}, and there is no folder {str(out.absolute().parent)!r}; make it first")


def _refuse(text: str) -> None:
    typer.echo(f"crossent demo: {text}", err=True)
    raise typer.Exit(2)


def _demo(console: Any, steps: int, out: Path, quick: bool) -> list[Any]:
    from crossent.demo import checks, digits, identity, plot, tables, training

    backend, sentence = engine()
    console.print(sentence + "\n", highlight=False)
    data = digits.load(training.SEED)
    pixels, labels = next(digits.batches(data, training.BATCH_ROWS, training.SEED))
    ways = identity.ways(training.new_model()(pixels), labels, backend)
    tables.identity(console, ways, len(labels))

    theirs, ours = _train_twice(console, data, steps, backend)
    tables.training(console, theirs, ours)
    results = [*checks.of_identity(ways), *checks.of_training(theirs, ours)]

    rows, classes = QUICK_LARGE if quick else LARGE
    large = _measure(console, rows, classes, rounds=1 if quick else ROUNDS)
    failed = any(measured.failure for measured in large)
    if not failed:
        tables.large(console, large, (rows, classes))
    results += checks.of_large(*large)
    plot.draw(out, theirs, ours, None if failed else large, f"{rows} x {classes}")
    tables.checks(console, results)
    console.print(f"plot: {out}", highlight=False, soft_wrap=True)
    return results


def engine() -> tuple[str, str]:
    """The backend that the training asks for by name, and a sentence on why that one."""
    import torch

    from crossent import dispatch

    reason = dispatch.reason_against("cpu", torch.device("cpu"), torch.float32)
    if reason is None:
        text = (
            "crossent's CPU engine serves. The training asks for it by name: a loss as small as 64 x 10 would "
            "otherwise be handed to torch, and torch would be compared with torch."
        )
        return "cpu", text
    text = (
        f"crossent's reference backend (plain torch: exact, not fast) serves, because the CPU engine is not available: "
        f"{reason}. So the times below say nothing about the engine."
    )
    return "reference", text


def _progress(console: Any) -> Any:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = TextColumn("{task.description}"), BarColumn(bar_width=None), MofNCompleteColumn()
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _train_twice(console: Any, data: Any, steps: int, backend: str) -> Any:
    import torch

    import crossent
    from crossent.demo import training

    losses = {"torch": torch.nn.CrossEntropyLoss(), "crossent": crossent.CrossEntropyLoss(backend=backend)}
    runs: list[Any] = []
    with _progress(console) as progress:
        for name, loss in losses.items():
            after_step = _advance(progress, f"training with {name}", steps)
            runs.append(training.train(data, loss, steps, after_step))
    return runs


def _measure(console: Any, rows: int, classes: int, rounds: int) -> Any:
    from crossent.demo import large

    with _progress(console) as progress:
        after_process = _advance(progress, f"{rows} x {classes} in fresh processes", 2 * rounds)
        return large.compare(rows, classes, rounds, after_process)


def _advance(progress: Any, description: str, total: int) -> Callable[[], None]:
    task = progress.add_task(description, total=total)
    return lambda: progress.advance(task)
