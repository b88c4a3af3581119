"""What a run prints: one block per case, then what was promised."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from crossent.bench import check, promises, record, run
from crossent.bench.cases import COMPILED, EAGER, OURS, SMALL_BYTES
from crossent.bench.linear.report import choice
from crossent.bench.record import Record

COLUMNS = ("", "buffer", "ms", "quartiles", "T", "of floor", "rate", "MB", "x eager", "x compile", "served by")


def results(console: Console, found: Record, names: list[str] | None = None) -> None:
    """The rows of all cases, or of some."""
    about = found.about
    console.print(
        f"{about.get('device', about['cpu'])}, {about['threads']} threads, {about['memory_gib']} GiB; "
        f"torch {about['torch']}, numba {about.get('numba', 'not installed')}, crossent {about['crossent']}",
        highlight=False,
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in COLUMNS:
        table.add_column(
            name, justify="left" if name in ("", "buffer", "served by") else "right", no_wrap=name != "served by"
        )
    for name, report in found.cases.items():
        if names is None or name in names:
            _block(table, found, name, report)
    console.print(table)
    console.print(
        "T: warm copy of the logits in the same run; of a linear head its bare products. of floor: the least time that "
        "the bytes (at the copy's speed) or the products leave, by this time. x: the competitor's time / this time, on "
        "the same kind of memory (in place: against fresh).",
        style="dim", highlight=False,
    )  # fmt: skip


def _block(table: Table, found: Record, name: str, report: dict[str, Any]) -> None:
    blank = [""] * (len(COLUMNS) - 2)
    table.add_row(f"[bold]{escape(name)}[/bold]", *blank, _remarks(report))
    for row in report["rows"]:
        is_small = report["logits_bytes"] < SMALL_BYTES
        low, high = row["quartiles_ms"]
        cells = (
            f"  {row['provider']}", row["buffer"], _ms(row["median_ms"]), f"{_ms(low)}-{_ms(high)}",
            "" if is_small else f"{row['median_ms'] / row['copy_ms']:.2f}",
            "" if is_small else f"{record.of_floor(report, row):.0%}",
            "" if is_small else _rate(report, row),
            f"{row['extra_bytes'] / 1e6:.0f}" if row.get("extra_bytes") is not None else "",
            _ratio(found, name, row, EAGER), _ratio(found, name, row, COMPILED), _served(row),
        )  # fmt: skip
        table.add_row(*cells, style=None if row["provider"].startswith(OURS) else "dim")
    if "plans" in report:
        table.add_row(f"[dim]{escape(choice(report['plans']))}[/dim]", *blank, "")
    for label, reason in report["failed"].items():
        table.add_row(f"  [red]{escape(label)}[/red]", "", "failed", *blank[2:], escape(reason[:60]))
    if found.about.get("device") and report["left_out"]:
        reasons = "; ".join(f"{label}: {reason}" for label, reason in report["left_out"].items())
        table.add_row(f"  [dim]not measured: {escape(reasons)}[/dim]", *blank, "")


def _rate(report: dict[str, Any], row: dict[str, Any]) -> str:
    """Operations of the products by the time, or bytes."""
    if "operations" in report:
        return f"{report['operations'] / row['median_ms'] / 1e9:.1f} TFLOP/s"
    return f"{report['moved_bytes'] / row['median_ms'] / 1e6:.1f} GB/s"


def _remarks(report: dict[str, Any]) -> str:
    if run.was_busy(report):
        worst = max(share or 0 for share in report["others_cpu"].values())
        return f"[yellow]disturbed: others took {worst:.0%} of the CPU[/yellow]"
    return ""


def _ms(value: float) -> str:
    return f"{value * 1e3:.1f}u" if value < 0.1 else f"{value:.3g}" if value < 100 else f"{value:.0f}"


def _ratio(found: Record, name: str, row: dict[str, Any], rival: str) -> str:
    same = (row["buffer"],) if row["buffer"] != "in place" else ("fresh",)
    theirs = record.row(found, name, rival, same)
    return "" if theirs is None else f"{theirs['median_ms'] / row['median_ms']:.2f}"


def _served(row: dict[str, Any]) -> str:
    if not row["provider"].startswith(OURS):
        return ""
    names = escape(", ".join(row["served"]))
    return names if record.is_engine(row["served"]) else f"[yellow]{names} (not an engine)[/yellow]"


STYLES = {check.MET: "green", check.MISSED: "bold red", check.ABSENT: "yellow"}


def verdicts(console: Console, found: Record) -> bool:
    """The promises, and whether all that was measured is met."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("case", "buffer", "what", "promised", "came", ""):
        table.add_column(name)
    all_verdicts = check.verdicts(found)
    unseen = {each.case for each in all_verdicts} - found.cases.keys() - {"start"}
    for each in all_verdicts:
        if each.case in unseen:
            continue
        word = f"[{STYLES[each.verdict]}]{each.verdict}[/]"
        table.add_row(escape(each.case), each.buffer, each.what, each.promised, each.came, word)
    console.print(table)
    counts = {word: sum(each.verdict == word for each in all_verdicts) for word in STYLES}
    console.print(", ".join(f"{count} {word}" for word, count in counts.items()), highlight=False)
    for case in sorted(unseen):
        count = sum(each.case == case for each in all_verdicts)
        console.print(f"[yellow]no result[/yellow]: {escape(case)}, {count} promises", highlight=False)
    for line in (*_warnings(found), f"Not measured here: {promises.ELSEWHERE}"):
        console.print(line, highlight=False)
    return counts[check.MISSED] == 0


def _warnings(found: Record) -> list[str]:
    lines: list[str] = []
    busy = sum(run.was_busy(report) for report in found.cases.values())
    if busy:
        lines.append(
            f"[yellow]{busy} of {len(found.cases)} cases were disturbed by other programs: --redo-busy[/yellow]"
        )
    commits = sorted({report.get("commit", "") for report in found.cases.values()} - {""})
    if len(commits) > 1:
        lines.append(f"[yellow]the cases are of {len(commits)} commits: {', '.join(commits)}[/yellow]")
    return lines
