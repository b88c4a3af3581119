"""The result as pictures: how much faster than torch, how near to the speed of memory, how much memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from crossent.bench import record
from crossent.bench.cases import COMPILED, EAGER, IN_PLACE, OURS, SMALL_BYTES, WARM
from crossent.bench.record import Record

INK, PALE, GRID = "#333333", "#888888", "#e4e4e4"


class Series(NamedTuple):
    """One colour of a plot: the rows of a provider with one of these buffers."""

    label: str
    provider: str
    buffers: tuple[str, ...]
    colour: str
    marker: str = "o"


THEIRS = (
    Series("torch eager", EAGER, ("fresh", "-"), "#c9c9c9", "s"),
    Series("torch.compile", COMPILED, ("fresh", "-"), "#f2a65a", "D"),
)
OURS_FRESH = Series("crossent", OURS, ("fresh", "-"), "#1f4e79")
MINE = (
    OURS_FRESH,
    Series("crossent, warm memory", OURS, (WARM,), "#4f8fc4"),
    Series("crossent, in place", OURS, (IN_PLACE,), "#7fc8a9", "v"),
)


def draw(folder: Path, found: Record) -> list[Path]:
    """Write every plot there is data for; the paths. No pyplot: nothing global, no display."""
    kinds: dict[str, Callable[[Record], Any]] = {
        "speedup": _speedup,
        "floor": _floor,
        "options": _options,
        "memory": _memory,
    }
    written: list[Path] = []
    for name, make in kinds.items():
        figure = make(found)
        if figure is not None:
            path = folder / f"{name}.png"
            figure.savefig(path)
            written.append(path)
    return written


def _canvas(height: float, columns: int = 1) -> tuple[Any, list[Any]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure: Any = Figure(figsize=(6.2 * columns + 1, height), dpi=150, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes = [figure.add_subplot(1, columns, column + 1) for column in range(columns)]
    return figure, axes


def _style(axes: Any, title: str, names: list[str], label: str) -> None:
    axes.set_title(title, loc="left", color=INK, fontsize=12, fontweight="bold", pad=12)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlabel(label, color=INK)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(GRID)
    axes.grid(axis="x", color=GRID, linewidth=0.7)
    axes.tick_params(colors=INK, length=0)
    axes.set_axisbelow(True)


def _readable(name: str) -> str:
    """``2048x32000/fp32/both`` -> ``2048 x 32000``."""
    shape, _, _, *setting = name.split("/")
    return setting[0] if setting else shape.replace("x", " × ")


def _names(found: Record, dtype: str, *, options: bool = False, small: bool = False) -> list[str]:
    """Forward + backward cases of a dtype in the order of the table."""
    from crossent.bench.cases import table

    return [
        case.name
        for case in table()
        if case.name in found.cases
        and found.cases[case.name]["rows"]
        and case.dtype == dtype
        and case.mode == "both"
        and bool(case.setting.name) == options
        and (small or not found.cases[case.name]["logits_bytes"] < SMALL_BYTES)
    ]


def _bars(axes: Any, found: Record, names: list[str], series: tuple[Series, ...]) -> None:
    """torch eager's time / the time, one bar per series."""
    thick = 0.8 / len(series)
    for index, each in enumerate(series):
        for place, name in enumerate(names):
            theirs, row = (
                record.row(found, name, EAGER, ("fresh",)),
                record.row(found, name, each.provider, each.buffers),
            )
            if theirs is None or row is None:
                continue
            ratio = theirs["median_ms"] / row["median_ms"]
            low, high = (theirs["median_ms"] / value for value in reversed(row["quartiles_ms"]))
            y = place + (index - (len(series) - 1) / 2) * thick
            axes.barh(y, ratio, height=thick * 0.92, color=each.colour, label=each.label if place == 0 else None)
            axes.plot([low, high], [y, y], color=INK, linewidth=0.8, alpha=0.6)
            engine = each.provider != OURS or record.is_engine(row["served"])
            text = f"{ratio:.1f}×" if ratio >= 1.95 or ratio < 0.95 else f"{ratio:.2f}×"
            text += "" if engine else "  served by " + row["served"][0].split(" ")[0]
            axes.annotate(
                text,
                (max(ratio, high), y),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
                color=INK,
            )
    axes.axvline(1, color=PALE, linewidth=1, linestyle=(0, (4, 2)), zorder=0)
    axes.set_xlim(0, axes.get_xlim()[1] * 1.08)


def _legend(figure: Any, axes: list[Any], columns: int) -> None:
    known: dict[str, Any] = {}
    for each in axes:
        handles, labels = each.get_legend_handles_labels()
        known.update({label: handle for handle, label in zip(handles, labels, strict=True) if label not in known})
    figure.legend(
        known.values(), known.keys(), loc="outside lower center", ncols=columns, frameon=False, labelcolor=INK
    )


def _panels(
    found: Record,
    make: Callable[[Any, str, list[str]], None],
    *,
    options: bool = False,
    row: float = 0.9,
    small: bool = False,
) -> Any:
    """A figure with one column per dtype that was measured; None where nothing was."""
    lists = {dtype: _names(found, dtype, options=options, small=small) for dtype in ("fp32", "bf16")}
    lists = {dtype: names for dtype, names in lists.items() if names}
    if not lists:
        return None
    figure, axes = _canvas(1.8 + row * max(map(len, lists.values())), len(lists))
    for each, (dtype, names) in zip(axes, lists.items(), strict=True):
        make(each, dtype, names)
    _legend(figure, axes, 5)
    return figure


def _speedup(found: Record) -> Any:
    def make(axes: Any, dtype: str, names: list[str]) -> None:
        _bars(axes, found, names, (THEIRS[1], *MINE))
        _style(
            axes,
            f"Forward + backward, {dtype}",
            list(map(_readable, names)),
            "times as fast as torch eager (dashed: the same)",
        )

    return _panels(found, make, small=True)


def _options(found: Record) -> Any:
    def make(axes: Any, dtype: str, names: list[str]) -> None:
        _bars(axes, found, names, (THEIRS[1], OURS_FRESH))
        labels = [f"{_readable(name)}\n{name.split('/')[0].replace('x', ' × ')}" for name in names]
        _style(
            axes,
            f"With options, forward + backward, {dtype}",
            labels,
            "times as fast as torch eager with the same option",
        )

    return _panels(found, make, options=True, row=0.62)


def _floor(found: Record) -> Any:
    def make(axes: Any, dtype: str, names: list[str]) -> None:
        for each in (*THEIRS, *MINE):
            rows = [(place, record.row(found, name, each.provider, each.buffers)) for place, name in enumerate(names)]
            points = [(row["median_ms"] / row["copy_ms"], place) for place, row in rows if row is not None]
            if points:
                axes.plot(
                    *zip(*points, strict=True),
                    each.marker,
                    color=each.colour,
                    markersize=9,
                    label=each.label,
                    markeredgecolor="white",
                )
        for place, name in enumerate(names):
            row = record.row(found, name, OURS, ("fresh",))
            if row is not None:
                value = row["median_ms"] / row["copy_ms"]
                axes.annotate(
                    f"{value:.1f}",
                    (value, place),
                    xytext=(0, 9),
                    textcoords="offset points",
                    ha="center",
                    fontsize=8,
                    color=INK,
                )
        axes.axvspan(axes.get_xlim()[0], 1, color="#eef5ee", zorder=0)
        axes.axvline(1, color="#5a9a6a", linewidth=1.4, zorder=0)
        axes.set_xscale("log")
        axes.set_xlim(0.6, None)
        ticks = [tick for tick in (1, 2, 5, 10, 20, 50, 100) if tick <= axes.get_xlim()[1]]
        axes.set_xticks(ticks, [f"{tick}" for tick in ticks], minor=False)
        axes.set_xticks([], minor=True)
        _style(
            axes,
            f"Time against the floor, {dtype}",
            list(map(_readable, names)),
            "time / time of a warm copy of the logits (green line: the floor)",
        )

    return _panels(found, make, row=0.62)


def _memory(found: Record) -> Any:
    series = (*THEIRS, OURS_FRESH, MINE[2])

    def make(axes: Any, dtype: str, names: list[str]) -> None:
        names = [name for name in names if found.cases[name].get("memory")]
        thick = 0.8 / len(series)
        for index, each in enumerate(series):
            label = each.provider + (" in place" if IN_PLACE in each.buffers else "")
            for place, name in enumerate(names):
                measured = found.cases[name]["memory"].get(label, {})
                if measured.get("extra_bytes") is None:
                    continue
                part = measured["extra_bytes"] / measured["gradient_bytes"]
                y = place + (index - (len(series) - 1) / 2) * thick
                axes.barh(y, part, height=thick * 0.92, color=each.colour, label=each.label if place == 0 else None)
                axes.annotate(
                    f"{part:.2f}",
                    (part, y),
                    xytext=(4, 0),
                    textcoords="offset points",
                    va="center",
                    fontsize=8,
                    color=INK,
                )
        axes.axvline(1, color=PALE, linewidth=1, linestyle=(0, (4, 2)), zorder=0)
        _style(
            axes,
            f"Peak memory beyond the logits, {dtype}",
            list(map(_readable, names)),
            "sizes of the gradient (dashed: the gradient alone)",
        )

    return _panels(found, make)
