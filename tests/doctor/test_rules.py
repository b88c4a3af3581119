"""Every rule's page: its bad example is found at its line, its good example is not, its sections are there."""

from __future__ import annotations

import importlib
import inspect
import re
import textwrap
from types import ModuleType

import pytest

from crossent.doctor.finding import LEVELS, Row
from crossent.doctor.rules import table
from doctor.stage import Example, collect, found, play

SECTIONS = ["What", "Why", "Bad::", "Good::", "How it is detected", "False positives", "References"]


def page(row: Row) -> str:
    return inspect.getdoc(table.rule(row)) or ""


def example(row: Row, kind: str) -> Example:
    text = re.search(rf"^{kind}::\n\n(.+?)\n\n(?=\S)", page(row), re.MULTILINE | re.DOTALL)
    assert text, f"{row.code} has no {kind} example"
    return Example(f"{row.code} {kind}", textwrap.dedent(text[1]))


@pytest.mark.parametrize("row", table.ROWS, ids=lambda row: row.code)
def test_the_bad_example_is_found(row: Row) -> None:
    bad = example(row, "Bad")
    report = play(bad)
    assert bad.expected, "the bad example marks no line"
    assert bad.expected <= found(report), str(report)
    others = {code for code, _ in found(report, "warning")} - {code for code, _ in bad.expected}
    assert not others, str(report)
    assert all("could not be evaluated" not in limit for limit in report.limits), report.limits


@pytest.mark.parametrize("row", table.ROWS, ids=lambda row: row.code)
def test_the_good_example_is_not(row: Row) -> None:
    report = play(example(row, "Good"))
    assert row.code not in report.codes, str(report)
    assert report.ok, str(report)
    assert all("could not be evaluated" not in limit for limit in report.limits), report.limits


@pytest.mark.parametrize("row", table.ROWS, ids=lambda row: row.code)
def test_a_page_is_complete(row: Row) -> None:
    lines = page(row).splitlines()
    places = [lines.index(section) for section in SECTIONS]
    assert places == sorted(places)
    assert lines[0].endswith(".") and not lines[1]
    why = " ".join(lines[lines.index("Why") + 1 : lines.index("Bad::")])
    assert any(character.isdigit() for character in why) or "``" in why, "a formula or a figure"


def test_the_table_is_consistent() -> None:
    assert len({row.code for row in table.ROWS}) == len({row.catalogue for row in table.ROWS}) == len(table.ROWS)
    assert [row.code for row in table.ROWS] == sorted(row.code for row in table.ROWS)
    for row in table.ROWS:
        letter, number = row.catalogue[0], int(row.catalogue[1:])
        assert row.code == f"XEN{'ABCDEFG'.index(letter) + 1}{number:02d}"
        assert row.severity in LEVELS


def functions_of(rule: ModuleType) -> set[str]:
    return {name for name in vars(rule) if name.startswith("from_")}


def test_every_rule_is_asked() -> None:
    """A function that the engine does not know would never run."""
    ways = importlib.import_module("crossent.doctor.examine").WAYS
    known = {name for names in ways.values() for name in names}
    for row in table.ROWS:
        rule = table.rule(row)
        assert functions_of(rule) and functions_of(rule) <= known, row.code
        for part in ("MESSAGE", "CONSEQUENCE", "FIX"):
            assert getattr(rule, part).strip()


def test_all_files_are_in_the_table() -> None:
    folder = importlib.import_module("crossent.doctor.rules").__path__[0]
    files = {path.removesuffix(".py") for path in __import__("os").listdir(folder) if path.startswith("xen")}
    assert files == {row.module for row in table.ROWS}


ASKED = (  # entries of the catalogue that a running program has to show
    "A1-13 B1-5 B7-10 B13 C1-3 C5-9 D1-2 D6-9 D11-12 E1-4 E6 F1-5 F7-8 F11 G1-3"
)


def entries(text: str) -> list[str]:
    """A1-3 -> A1, A2, A3"""
    found: list[str] = []
    for part in text.split():
        first, _, last = part[1:].partition("-")
        found += [f"{part[0]}{number}" for number in range(int(first), int(last or first) + 1)]
    return found


@pytest.mark.parametrize("entry", entries(ASKED))
def test_every_entry_that_was_asked_for_has_a_rule_and_a_repro(entry: str) -> None:
    (row,) = [row for row in table.ROWS if row.catalogue == entry]
    prefix = f"{entry[0].lower()}{int(entry[1:]):02d}_"
    repros = [repro for repro in collect("repros") if repro.name.startswith(prefix)]
    assert any(row.code in {code for code, _ in repro.expected} for repro in repros)
