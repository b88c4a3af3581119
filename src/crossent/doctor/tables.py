"""A report for rich's console."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from crossent.doctor.finding import Finding
from crossent.doctor.report import Report

STYLES = {"error": "bold red", "warning": "bold yellow", "note": "bold cyan"}


def rendered(report: Report) -> Iterator[Any]:
    from rich.text import Text

    yield Text(f"crossent doctor: {report.summary}", style="bold")
    for finding in report.findings:
        yield _one(finding)
    for limit in report.limits:
        yield Text(f"not looked at: {limit}", style="dim")


def _one(finding: Finding) -> Any:
    from rich.text import Text

    style = STYLES[finding.severity]
    text = Text()
    text.append(f"{finding.code} {finding.severity}", style=style)
    text.append(f"  {finding.name}", style="bold")
    text.append(f"  {finding.file}:{finding.line}", style="underline")
    text.append(f"  ({finding.confidence} confidence)\n", style="dim")
    text.append(f"    {finding.message}\n")
    text.append("    consequence: ", style="dim").append(f"{finding.consequence}\n")
    text.append("    fix: ", style="green").append(finding.fix)
    return text
