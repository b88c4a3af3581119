"""Table and plot of a result."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from crossent.bench.linear import promises, providers
from crossent.bench.linear.cases import by_name
from crossent.bench.load import QUIET
from crossent.bench.record import Record

COLUMNS = ("", "ms", "x products", "MB", "error of loss", "d input", "d weight")
SERIES = {providers.PLAIN: "#bdbdbd", providers.CHUNKED: "#f2a65a", providers.OURS: "#1f4e79"}


def results(console: Console, found: Record, names: list[str]) -> None:
    """One block per case."""
    about = found.about
    console.print(f"{about['cpu']}, {about['threads']} threads; torch {about['torch']}", highlight=False)
    for name in names:
        if name in found.cases:
            _block(console, name, found.cases[name])


def _block(console: Console, name: str, report: dict[str, Any]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold", title=escape(name), title_justify="left")
    for column in COLUMNS:
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    rows = report.get("rows", {})
    base = rows.get(providers.PRODUCTS, {}).get("median_ms")
    for label, row in rows.items():
        used = report.get("memory", {}).get(label, {}).get("extra_bytes")
        table.add_row(
            label, f"{row['median_ms']:.0f}", f"{row['median_ms'] / base:.2f}" if base else "",
            "" if used is None else f"{used / 2**20:.0f}",
            *(f"{value:.1e}" for value in report["errors"].get(label, ())),
            style=None if label.startswith(providers.OURS) else "dim",
        )  # fmt: skip
    console.print(table)
    for part, moment in report.get("measured", {}).items():
        if (moment.get("others_cpu") or 0) > QUIET:
            console.print(f"[yellow]{part} disturbed: others took {moment['others_cpu']:.0%} of the CPU[/yellow]")
    for kind in ("failed", "left_out"):
        for label, reason in report.get(kind, {}).items():
            console.print(f"  {label}: {reason}", style="dim", highlight=False, markup=False)
    for line in promises.lines(by_name(name), rows):
        console.print(f"  {line}", highlight=False)
    if report.get("plans"):
        console.print(choice(report["plans"]), highlight=False)


def choice(plans: dict[str, Any]) -> str:
    """The chosen plan's time beside every other's, in units of the best."""
    best = min(row["median_ms"] for row in plans.values())
    shown = ", ".join(f"{name} {row['median_ms'] / best:.2f}" for name, row in plans.items() if name != "choice")
    chosen = plans["choice"]["median_ms"] / best
    most = promises.PLAN_WITHIN
    word = promises.verdict(chosen, most)
    return f"  {word} the plan's choice: {chosen:.2f} of the best plan's time (at most {most:.2f}); {shown}"


def draw(folder: Path, found: Record) -> Path | None:
    """Memory and time against the size of the vocabulary; None where no sweep was measured."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    swept = sorted(
        (by_name(name) for name in found.cases if name.endswith("/sweep") and "rows" in found.cases[name]),
        key=lambda case: case.classes,
    )
    if len(swept) < 2:
        return None
    figure: Any = Figure(figsize=(11, 4.2), dpi=130, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    for label, colour in SERIES.items():
        reports = [(case.classes, found.cases[case.name]) for case in swept]
        memory = [(v, r.get("memory", {}).get(label, {}).get("extra_bytes")) for v, r in reports]
        points = [(v, bytes / 2**20) for v, bytes in memory if bytes is not None]
        if points:
            left.plot(*zip(*points, strict=True), "o-", color=colour, label=label)
        times = [
            (v, r["rows"][label]["median_ms"] / r["rows"][providers.PRODUCTS]["median_ms"])
            for v, r in reports if label in r["rows"] and providers.PRODUCTS in r["rows"]
        ]  # fmt: skip
        if times:
            right.plot(*zip(*times, strict=True), "o-", color=colour, label=label)
    left.set(title="Peak memory beside inputs and gradients", xlabel="classes", ylabel="MB", xscale="log", yscale="log")
    right.set(title="Time, in units of the three bare products", xlabel="classes", xscale="log")
    right.set_ylim(bottom=0)
    right.axhline(1, color="#5a9a6a", linewidth=1.2, zorder=0)
    ticks = [case.classes for case in swept]
    for axes in (left, right):
        axes.set_xticks(ticks, [f"{tick // 1000}k" for tick in ticks])
        axes.set_xticks([], minor=True)
        axes.grid(color="#e4e4e4", linewidth=0.7)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    left.legend(frameon=False)
    about, rows = found.about, statistics.mode(case.rows for case in swept)
    figure.suptitle(
        f"{rows} rows, {swept[0].features} inputs, {swept[0].dtype}; {about['cpu']}, {about['threads']} threads, "
        f"torch {about['torch']}", fontsize=8, color="#888888",
    )  # fmt: skip
    path = folder / "linear.png"
    figure.savefig(path)
    return path
