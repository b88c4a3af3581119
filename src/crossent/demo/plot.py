"""The demo as one picture: two training curves that lie on each other, and what the loss costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from crossent.demo import checks
from crossent.demo.large import Measured
from crossent.demo.training import Training

TORCH, CROSSENT, INK, GRID = "#f2a65a", "#1f4e79", "#333333", "#dddddd"
LIMIT = "#b03030"
LOWEST = 1e-9  # where the bit-equal steps are drawn


def draw(path: Path, theirs: Training, ours: Training, large: tuple[Measured, Measured] | None, size: str) -> None:
    """Write the PNG. No pyplot: nothing global, no display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure: Any = Figure(figsize=(12, 6.4), dpi=150, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    columns = figure.add_gridspec(1, 2 if large else 1, width_ratios=[1.9, 1] if large else [1], wspace=0.06)
    left = columns[0, 0].subgridspec(2, 1, height_ratios=[1.7, 1])
    curves = figure.add_subplot(left[0])
    _curves(curves, theirs, ours)
    _differences(figure.add_subplot(left[1], sharex=curves), theirs, ours)
    if large:
        _costs(figure, columns[0, 1].subgridspec(2, 1), large, size)
    figure.savefig(path)


def _costs(figure: Any, cells: Any, large: tuple[Measured, Measured], size: str) -> None:
    time, memory = figure.add_subplot(cells[0]), figure.add_subplot(cells[1])
    _bars(time, [each.median_ms for each in large], "ms", "Time of one loss", large)
    _bars(memory, [(each.median_bytes or 0) / 1e6 for each in large], "MB", "Peak memory beyond the logits", large)
    notes = f"{size} logits, float32, forward + backward\ncrossent served by: {large[1].served.partition(' (')[0]}"
    memory.set_xlabel(notes, color=INK, fontsize=9, loc="left", labelpad=8)


def _style(axes: Any, title: str) -> None:
    axes.set_title(title, loc="left", color=INK, fontsize=12, fontweight="bold")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(GRID)
    axes.tick_params(colors=INK, length=0)
    axes.set_axisbelow(True)


def _curves(axes: Any, theirs: Training, ours: Training) -> None:
    steps = range(1, len(theirs.losses) + 1)
    for name, run, color, width in (("torch", theirs, TORCH, 4), ("crossent", ours, CROSSENT, 1.1)):
        label = f"{name}: {run.accuracy:.2%} of unseen digits right"
        axes.plot(steps, run.losses, color=color, linewidth=width, label=label)
    axes.set_yscale("log")
    axes.grid(axis="y", color=GRID, linewidth=0.6)
    _style(axes, "Handwritten digits: training loss, twice from one seed")
    axes.legend(frameon=False, labelcolor=INK, loc="upper right")
    axes.tick_params(labelbottom=False)


def _differences(axes: Any, theirs: Training, ours: Training) -> None:
    apart = checks.differences(theirs, ours)
    equal = sum(value == 0 for value in apart)
    shown = [max(value, LOWEST) for value in apart]  # 0 has no place on a log axis
    axes.plot(range(1, len(apart) + 1), shown, color=CROSSENT, linestyle="", marker=".", markersize=4)
    first = min(checks.FIRST_STEPS, len(apart))
    for end, tolerance in ((first, checks.FIRST_TOLERANCE), (len(apart), checks.RUN_TOLERANCE)):
        axes.plot([1, end], [tolerance] * 2, color=LIMIT, linewidth=1.2, linestyle=(0, (4, 2)))
        axes.annotate(
            f"must stay below {tolerance:.0e}", (1, tolerance), color=LIMIT, fontsize=9, xytext=(0, 4),
            textcoords="offset points",
        )  # fmt: skip
    axes.annotate(
        f"bottom row: {equal} steps equal to the last bit", (1, LOWEST), color=INK, fontsize=9, xytext=(0, 5),
        textcoords="offset points",
    )  # fmt: skip
    axes.set_yscale("log")
    axes.set_ylim(LOWEST / 2, 3e-2)
    axes.grid(axis="y", color=GRID, linewidth=0.6)
    axes.set_xlabel("step", color=INK)
    _style(axes, "Relative difference of the two losses, step by step")


def _bars(axes: Any, values: list[float], unit: str, title: str, measured: tuple[Measured, Measured]) -> None:
    bars = axes.barh([each.provider for each in measured], values, color=[TORCH, CROSSENT], height=0.5)
    labels = [f"{value:.0f} {unit}" for value in values]
    if all(values):
        theirs, ours = values
        labels[1] += f"   {theirs / ours:.1f} x less" if theirs >= ours else f"   {ours / theirs:.1f} x more"
    axes.bar_label(bars, labels=labels, padding=6, color=INK, fontsize=11)
    axes.set_xlim(0, max(*values, 1e-9) * 1.3 + 0.35 * (values[1] > values[0]) * values[1])
    axes.set_ylim(1.6, -0.6)  # torch above
    axes.set_xticks([])
    _style(axes, title)
    axes.spines["bottom"].set_visible(False)
