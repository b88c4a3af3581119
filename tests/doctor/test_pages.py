"""docs/rules.md is the table of rules. To write it anew: ``python tests/doctor/test_pages.py``."""

from __future__ import annotations

import inspect
from pathlib import Path

from crossent.doctor.advice import without_rule
from crossent.doctor.rules import table

PAGE = Path(__file__).resolve().parents[2] / "docs" / "rules.md"


def text() -> str:
    lines = [
        "# Rules of the doctor",
        "",
        "`crossent rule XEN101` shows a rule's page: what it means, why, a bad and a good example, how it is detected.",
        "The entries A1, B3, ... are those of the catalogue of misuses; entries that a running program does not show",
        "are missing here.",
        "",
        "| code | entry | severity | name | |",
        "|---|---|---|---|---|",
    ]
    for row in table.ROWS:
        first = (inspect.getdoc(table.rule(row)) or "").splitlines()[0]
        lines.append(f"| {row.code} | {row.catalogue} | {row.severity} | {row.name} | {first} |")
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
    assert PAGE.read_text(encoding="utf-8") == text()


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
