"""docs/rules.md and docs/rule-pages.md are the table of rules and their pages.

To write them anew: ``python tests/doctor/test_pages.py``.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

from crossent.doctor.advice import without_rule
from crossent.doctor.rules import table

TABLE = Path(__file__).resolve().parents[2] / "docs" / "rules.md"
PAGES = TABLE.with_name("rule-pages.md")
SECTIONS = ("What", "Why", "How it is detected", "False positives", "References")


def pages() -> str:
    """The docstrings of all rules as Markdown."""
    lines = [
        "# Pages of the rules",
        "",
        "What `crossent rule XEN101` shows, for all rules of the [table](rules.md). Each bad example is found at the",
        "line marked with the code, and nothing is found in the good one: both are tests",
        "(`tests/doctor/test_rules.py`). The names in them (`model`, `x`, `y`, ...) are those of",
        "`tests/doctor/stage.py`.",
    ]
    for row in table.ROWS:
        lines += ["", f"## {row.code}", "", f"{row.name} ({row.severity}, {row.catalogue}). ", ""]
        lines += markdown((inspect.getdoc(table.rule(row)) or "").splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip() for line in lines)) + "\n"


def markdown(lines: list[str]) -> Iterator[str]:
    """Sections are indented below their titles, examples follow ``Bad::`` and ``Good::``."""
    is_code = False
    for line in lines:
        if is_code and line and not line.startswith(" "):
            yield "```\n"
            is_code = False
        if line in ("Bad::", "Good::"):
            yield f"\n**{line[:-2]}**\n\n```py"
            is_code = True
        elif line in SECTIONS:
            yield f"\n**{line}**\n"
            yield ""
        elif not is_code or line:
            yield line.removeprefix("    ") if is_code else re.sub(r"``(.+?)``", r"`\1`", line.strip())


def text() -> str:
    lines = [
        "# Rules of the doctor",
        "",
        "`crossent rule XEN101` shows a rule's page: what it means, why, a bad and a good example, how it is detected;",
        "[rule-pages.md](rule-pages.md) has all of them.",
        "The entries A1, B3, ... are those of the catalogue of misuses; entries that a running program does not show",
        "are missing here.",
        "",
        "| code | entry | severity | name | |",
        "|---|---|---|---|---|",
    ]
    for row in table.ROWS:
        first = (inspect.getdoc(table.rule(row)) or "").splitlines()[0]
        code = f"[{row.code}](rule-pages.md#{row.code.lower()})"
        lines.append(f"| {code} | {row.catalogue} | {row.severity} | {row.name} | {first} |")
    lines += [
        "",
        "These are seen by torch's exceptions alone (`doctor.explain_error`; also under `crossent run --doctor`):",
        "",
        "| code | entry | name | |",
        "|---|---|---|---|",
    ]
    for advice in without_rule(set(table.BY_CODE)).values():
        lines.append(f"| {advice.code} | {advice.catalogue} | {advice.name} | {advice.message} |")
    return "\n".join(lines) + "\n"


def test_the_table_in_the_docs_is_this_one() -> None:
    assert TABLE.read_text(encoding="utf-8") == text()


def test_the_pages_in_the_docs_are_the_rules_own() -> None:
    assert PAGES.read_text(encoding="utf-8") == pages()


if __name__ == "__main__":
    TABLE.write_text(text(), encoding="utf-8")
    PAGES.write_text(pages(), encoding="utf-8")
