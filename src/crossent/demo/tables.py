"""What the demo prints: tables that fit a narrow terminal, colour only where there is one."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from crossent.demo.checks import Check, differences
from crossent.demo.identity import Way
from crossent.demo.large import Measured
from crossent.demo.training import Training


def identity(console: Console, ways: list[Way], rows: int) -> None:
    """The ways to write the loss, under each other."""
    table = Table(title=f"One batch of {rows} digits, before training", title_justify="left")
    table.add_column("z: logits, y: labels", overflow="fold")
    table.add_column("loss", justify="right")
    for way in ways:
        table.add_row(escape(way.text), f"{way.value:.7f}", style=None if way.is_cross_entropy else "dim")
    console.print(table)
    wrong = ways[-1].value
    console.print(
        f"nll_loss expects log-probabilities. Given probabilities it returns minus their mean, {wrong:.4f}: "
        "it still falls during training, but it is no cross entropy.\n",
        highlight=False,
    )


def training(console: Console, theirs: Training, ours: Training) -> None:
    """The two runs, and how far they are apart."""
    apart = differences(theirs, ours)
    table = Table(title=f"{len(theirs.losses)} steps, one seed, two losses", title_justify="left")
    for name in ("", "step 1", "last step", "test loss", "accuracy"):
        table.add_column(name, justify="right" if name else "left")
    for name, run in (("torch", theirs), ("crossent", ours)):
        losses = (run.losses[0], run.losses[-1], run.test_loss)
        table.add_row(name, *(f"{loss:.7f}" for loss in losses), f"{run.accuracy:.2%}")
    test = abs(ours.test_loss - theirs.test_loss) / abs(theirs.test_loss)
    table.add_row(
        "difference", *(f"{value:.1e}" for value in (apart[0], apart[-1], test)), f"{ours.right - theirs.right} digits"
    )
    console.print(table)


def large(console: Console, both: tuple[Measured, Measured], size: tuple[int, int]) -> None:
    """Time and memory, and who served."""
    theirs, ours = both
    rows, classes = size
    table = Table(title=f"Forward + backward at {rows} x {classes}, float32", title_justify="left")
    for name in ("", "time", "extra memory"):
        table.add_column(name, justify="right" if name else "left")
    for measured in (theirs, ours):
        table.add_row(measured.provider, f"{measured.median_ms:.0f} ms", _megabytes(measured.median_bytes))
    faster = f"{theirs.median_ms / ours.median_ms:.1f} x"
    less = f"{theirs.median_bytes / ours.median_bytes:.1f} x" if theirs.median_bytes and ours.median_bytes else "-"
    table.add_row("torch / crossent", faster, less)
    console.print(table)
    console.print(
        f"Served by: {escape(ours.served)}. Median of {len(ours.milliseconds)} calls in fresh processes, torch and "
        f"crossent in turns. The logits take {_megabytes(rows * classes * 4)}; the extra peak includes their gradient, "
        "as much again.\n",
        highlight=False,
    )


def _megabytes(count: float | None) -> str:
    return "not known" if count is None else f"{count / 1e6:.0f} MB"


def checks(console: Console, results: list[Check]) -> None:
    """One line each; a broken promise says what was expected (the promise) and what came."""
    for check in results:
        if check.kept:
            console.print(f"[green]ok[/green]      {check.promise}: {escape(check.came)}", highlight=False)
        else:
            console.print(
                f"[bold red]FAILED[/bold red]  expected: {check.promise}; came: {escape(check.came)}", highlight=False
            )
