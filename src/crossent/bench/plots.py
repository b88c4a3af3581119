"""The result as pictures: how much faster than torch, how near to the speed of memory, how much memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from crossent.bench import record
from crossent.bench.cases import (
    BOTH,
    COMPILED,
    CPU,
    CUDA,
    EAGER,
    FORWARD,
    FRESH,
    IN_PLACE,
    ITEM_BYTES,
    NO_BUFFER,
    OURS,
    STAND_IN,
    WARM,
    Case,
    by_name,
    device_table,
    table,
)
from crossent.bench.record import Record

INK, PALE, GRID, FLOOR = "#333333", "#888888", "#e4e4e4", "#5a9a6a"
DEFAULT = (FRESH, NO_BUFFER)  # what an untouched process does


class Series(NamedTuple):
    """One colour of a plot: the rows of a provider with one of these buffers."""

    label: str
    provider: str
    buffers: tuple[str, ...]
    colour: str
    marker: str = "o"


TORCH = Series("torch eager", EAGER, DEFAULT, "#bdbdbd", "s")
COMPILE = Series("torch.compile", COMPILED, DEFAULT, "#f2a65a", "D")
FIRST = Series("crossent", OURS, DEFAULT, "#1f4e79")
KEPT = Series("crossent, warm memory", OURS, (WARM,), "#4f8fc4")
OVER = Series("crossent, in place", OURS, (IN_PLACE,), "#7fc8a9", "v")

ON_DEVICE = (
    TORCH,
    COMPILE,
    Series("torch chunked", "torch chunked", DEFAULT, "#d9d2c5"),
    Series("liger-kernel", "liger-kernel", (IN_PLACE, *DEFAULT), "#b58db6"),
    Series("liger-kernel linear", "liger-kernel linear", DEFAULT, "#b58db6"),
    Series("quack", "quack", DEFAULT, "#d9788f"),
    Series("quack linear", "quack linear", DEFAULT, "#d9788f"),
    Series("cut-cross-entropy", "cut-cross-entropy", DEFAULT, "#c9b458"),
    FIRST,
    OVER,
)

Panel = Callable[[Any, Record, list[str], str], None]


def draw(folder: Path, found: Record) -> list[Path]:
    """Write every plot there is data for; the paths. No pyplot: nothing global, no display."""
    written: list[Path] = []
    for name, (panel, inches, wanted) in PLOTS.items():
        figure = _figure(found, panel, inches, wanted)
        if figure is not None:
            path = folder / f"{name}.png"
            figure.savefig(path)
            written.append(path)
    return written


# ---- one panel per dtype -----------------------------------------------------------------------


def _figure(found: Record, panel: Panel, inches: float, wanted: Callable[[Case, dict[str, Any]], bool]) -> Any:
    """A figure with so many inches per case, or None where nothing was measured."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    every = [case for device in (CUDA, STAND_IN) for case in device_table(device)]
    reports = {case: report for case in (*table(), *every) if (report := found.cases.get(case.name, {})).get("rows")}
    measured = [case for case, report in reports.items() if wanted(case, report)]
    columns = {dtype: [case.name for case in measured if case.dtype == dtype] for dtype in ITEM_BYTES}
    columns = {dtype: names for dtype, names in columns.items() if names}
    if not columns:
        return None
    height = 2.2 + inches * max(map(len, columns.values()))
    figure: Any = Figure(figsize=(7 * len(columns) + 0.5, height), dpi=130, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes: list[Any] = []
    for index, (dtype, names) in enumerate(columns.items()):
        axes.append(figure.add_subplot(1, len(columns), index + 1))
        panel(axes[-1], found, names, dtype)
    _legend(figure, axes, 3 if len(columns) == 1 else 5, _measured_on(found, measured))
    return figure


def _measured_on(found: Record, measured: list[Case]) -> str:
    """One line under the plot: a time without its machine means nothing."""
    about, dates = found.about, [found.cases[case.name].get("date", "")[:10] for case in measured]
    words = (
        about.get("device", about["cpu"]),
        f"{about['threads']} threads",
        f"torch {about['torch']}",
        f"crossent {about['crossent']}",
        max(dates),
    )
    return "  ·  ".join(word for word in words if word) + "  ·  median and quartiles, in turns"


def _legend(figure: Any, axes: list[Any], columns: int, title: str) -> None:
    known: dict[str, Any] = {}
    for each in axes:
        for handle, label in zip(*each.get_legend_handles_labels(), strict=True):
            known.setdefault(label, handle)
    legend = figure.legend(
        known.values(), known.keys(), loc="outside lower center", ncols=columns, frameon=False, labelcolor=INK,
        title=title, title_fontsize=8,
    )  # fmt: skip
    legend.get_title().set_color(PALE)


def _style(axes: Any, title: str, labels: list[str], unit: str) -> None:
    axes.set_title(title, loc="left", color=INK, fontsize=12, fontweight="bold", pad=12)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_xlabel(unit, color=INK)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(GRID)
    axes.grid(axis="x", color=GRID, linewidth=0.7)
    axes.tick_params(colors=INK, length=0)
    axes.set_axisbelow(True)


def _label(name: str) -> str:
    """``2048x32000/fp32/both`` -> ``2048 × 32000``; with the setting above it, if there is one."""
    case = by_name(name)
    sizes = (case.shape[0], case.features, case.shape[1]) if case.features else case.shape
    return "\n".join([*filter(None, [case.setting.name]), " × ".join(map(str, sizes))])


class _Bar(NamedTuple):
    value: float
    low: float
    high: float
    text: str


def _bars(
    axes: Any, names: list[str], series: tuple[Series, ...], bar_of: Callable[[str, Series], _Bar | None]
) -> None:
    """Horizontal bars in groups: one group per case, one colour per series."""
    thick, named = 0.82 / len(series), set[str]()
    for index, each in enumerate(series):
        for place, name in enumerate(names):
            bar = bar_of(name, each)
            if bar is None:
                continue
            y = place + (index - (len(series) - 1) / 2) * thick
            label = None if each.label in named else each.label
            named.add(each.label)
            axes.barh(y, bar.value, height=thick * 0.92, color=each.colour, label=label)
            axes.plot([bar.low, bar.high], [y, y], color=INK, linewidth=0.8, alpha=0.6)
            axes.annotate(
                bar.text, (max(bar.value, bar.high), y), xytext=(4, 0), textcoords="offset points", va="center",
                fontsize=8, color=INK,
            )  # fmt: skip
    axes.set_xlim(0, axes.get_xlim()[1] * 1.1)


# ---- the panels --------------------------------------------------------------------------------


def _speedup(axes: Any, found: Record, names: list[str], dtype: str, *, series: tuple[Series, ...], title: str) -> None:
    def bar(name: str, each: Series) -> _Bar | None:
        theirs = record.row(found, name, EAGER, DEFAULT)
        row = record.row(found, name, each.provider, each.buffers)
        if theirs is None or row is None:
            return None
        ratio = theirs["median_ms"] / row["median_ms"]
        high, low = (theirs["median_ms"] / value for value in row["quartiles_ms"])
        return _Bar(ratio, low, high, f"{ratio:.2f}×" if 0.9 <= ratio < 1.95 else f"{ratio:.1f}×" + _mark(row))

    _bars(axes, names, series, bar)
    axes.axvline(1, color=PALE, linewidth=1, linestyle=(0, (4, 2)), zorder=0)
    _style(axes, f"{title}, {dtype}", list(map(_label, names)), "times as fast as torch eager (dashed: the same)")


def _mark(row: dict[str, Any]) -> str:
    """What a bar must say if no engine of crossent's computed it."""
    if row["provider"] != OURS or record.is_engine(row["served"]):
        return ""
    return f"  served by {row['served'][0]}"


def _small(axes: Any, found: Record, names: list[str], dtype: str) -> None:
    def bar(name: str, each: Series) -> _Bar | None:
        row = record.row(found, name, each.provider, each.buffers)
        if row is None:
            return None
        low, high = (value * 1e3 for value in row["quartiles_ms"])
        return _Bar(row["median_ms"] * 1e3, low, high, f"{row['median_ms'] * 1e3:.1f} µs" + _mark(row))

    _bars(axes, names, (TORCH, COMPILE, FIRST), bar)
    _style(axes, f"Small losses, forward + backward, {dtype}", list(map(_label, names)), "µs per call")


def _floor(axes: Any, found: Record, names: list[str], dtype: str) -> None:
    for each in (TORCH, COMPILE, FIRST, KEPT, OVER):
        rows = [(record.row(found, name, each.provider, each.buffers), y) for y, name in enumerate(names)]
        points = [(row["median_ms"] / row["copy_ms"], y) for row, y in rows if row is not None]
        if points:
            axes.plot(
                *zip(*points, strict=True), each.marker, color=each.colour, markersize=9, label=each.label,
                markeredgecolor="white",
            )  # fmt: skip
        for value, y in points if each in (TORCH, COMPILE, FIRST) else []:
            axes.annotate(
                f"{value:.2g}", (value, y), xytext=(0, 8), textcoords="offset points", ha="center", fontsize=8,
                color=INK,
            )  # fmt: skip
    axes.axvline(1, color=FLOOR, linewidth=1.4, zorder=0)
    axes.set_xscale("log")
    axes.set_xlim(0.6, axes.get_xlim()[1] * 1.2)
    ticks = [tick for tick in (1, 2, 5, 10, 20, 50, 100) if tick <= axes.get_xlim()[1]]
    axes.set_xticks(ticks, list(map(str, ticks)))
    axes.set_xticks([], minor=True)
    unit = "time / time of a warm copy of the logits (green: the floor)"
    _style(axes, f"How near to the speed of memory, {dtype}", list(map(_label, names)), unit)


def _of_floor(axes: Any, found: Record, names: list[str], dtype: str) -> None:
    """Every provider of a device against the floor of the same run: the copy of the logits, or the bare products."""

    def bar(name: str, each: Series) -> _Bar | None:
        row = record.row(found, name, each.provider, each.buffers)
        if row is None:
            return None
        part = 100 * record.of_floor(found.cases[name], row)
        low, high = (part * row["median_ms"] / value for value in row["quartiles_ms"])
        memory = row.get("extra_bytes")
        text = f"{row['median_ms']:.3g} ms" + ("" if memory is None else f", {memory / 1e6:.0f} MB")
        return _Bar(part, min(low, high), max(low, high), text + _mark(row))

    _bars(axes, names, ON_DEVICE, bar)
    axes.axvline(100, color=FLOOR, linewidth=1.4, zorder=0)
    floor = "bare matrix products" if found.cases[names[0]].get("operations") else "bytes at the speed of a copy"
    _style(axes, f"Forward + backward, {dtype}", list(map(_label, names)), f"% of the floor: {floor}")


def _memory(axes: Any, found: Record, names: list[str], dtype: str) -> None:
    def bar(name: str, each: Series) -> _Bar | None:
        label = each.provider + (f" {IN_PLACE}" if IN_PLACE in each.buffers else "")
        measured = found.cases[name].get("memory", {}).get(label, {})
        if measured.get("extra_bytes") is None:
            return None
        part = measured["extra_bytes"] / measured["gradient_bytes"]
        return _Bar(part, part, part, f"{part:.2f}")

    _bars(axes, names, (TORCH, COMPILE, FIRST, OVER), bar)
    axes.axvline(1, color=PALE, linewidth=1, linestyle=(0, (4, 2)), zorder=0)
    unit = "sizes of the gradient (dashed: the gradient alone)"
    _style(axes, f"Peak memory beyond the logits, {dtype}", list(map(_label, names)), unit)


def _plain(case: Case, mode: str = BOTH) -> bool:
    return case.device == CPU and case.mode == mode and not case.setting.name


def _on_device(case: Case, *, linear: bool) -> bool:
    return case.device != CPU and case.mode == BOTH and bool(case.features) == linear and not case.setting.name


ALL_OURS = (COMPILE, FIRST, KEPT, OVER)
# File name -> (panel, inches per case, its cases). 65536 x 10 fits into the caches, yet it is no small call.
PLOTS: dict[str, tuple[Panel, float, Callable[[Case, dict[str, Any]], bool]]] = {
    "speedup": (
        partial(_speedup, series=ALL_OURS, title="Forward + backward"),
        0.9,
        lambda case, report: _plain(case) and case.rows > 128,
    ),
    "forward": (
        partial(_speedup, series=(COMPILE, FIRST), title="Forward only"),
        0.55,
        lambda case, report: _plain(case, FORWARD) and case.rows > 128,
    ),
    "options": (
        partial(_speedup, series=(COMPILE, FIRST), title="With options, forward + backward"),
        0.6,
        lambda case, report: bool(case.setting.name) and case.device == CPU,
    ),
    "small": (_small, 0.75, lambda case, report: _plain(case) and case.rows <= 128),
    "floor": (_floor, 0.6, lambda case, report: _plain(case) and not case.is_small),
    "device": (_of_floor, 1.1, lambda case, report: _on_device(case, linear=False)),
    "device-linear": (_of_floor, 1.1, lambda case, report: _on_device(case, linear=True)),
    "memory": (_memory, 0.8, lambda case, report: _plain(case) and "memory" in report),
}
