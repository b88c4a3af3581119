"""Programs written before their author had read the rules, whole and in the manner of forums and tutorials.

Each folder of ``heldout`` is one such set. Its ``first_contact.json`` says what the rules did when they first met these
programs; since then rules were mended on them. A line marked ``# missed: XEN703`` shows a misuse that is still not
seen, ``# no rule: E5`` one of an entry of the catalogue without a rule.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict

import pytest

from doctor.stage import FOLDER, Example, collect, found, play

SETS = sorted(path.name for path in (FOLDER / "heldout").iterdir() if path.is_dir())
UNSEEN = re.compile(r"#\s*(?:missed|no rule): (\w+)")
tally: dict[str, Counter[str]] = defaultdict(Counter)


def programs(kind: str) -> list[object]:
    """(set, program) of every set."""
    return [
        pytest.param(name, program, id=f"{name}-{program.name}")
        for name in SETS
        for program in collect(f"heldout/{name}/{kind}")
    ]


@pytest.mark.parametrize(("name", "program"), programs("healthy"))
def test_a_healthy_program_is_left_in_peace(name: str, program: Example) -> None:
    report = play(program)
    tally[name].update(false=len(report.at_least("warning")), healthy=1)
    assert report.ok, str(report)
    assert all("could not be evaluated" not in limit for limit in report.limits), report.limits


@pytest.mark.parametrize(("name", "program"), programs("misuses"))
def test_a_misuse_is_found_at_its_line(name: str, program: Example) -> None:
    unseen = UNSEEN.findall(program.code)
    assert program.expected or unseen, "a misuse is marked at its line"
    report = play(program)
    hits, false = program.expected & found(report), found(report, "warning") - program.expected
    expected = len(program.expected) + len(unseen)
    tally[name].update(misuses=1, expected=expected, hit=len(hits), false=len(false))
    assert hits == program.expected and not false, str(report)
    assert all("could not be evaluated" not in limit for limit in report.limits), report.limits


@pytest.mark.parametrize("name", SETS)
def test_what_was_found_at_first_and_now(name: str) -> None:
    first = json.loads((FOLDER / "heldout" / name / "first_contact.json").read_text(encoding="utf-8"))
    count = {kind: len(collect(f"heldout/{name}/{kind}")) for kind in ("misuses", "healthy")}
    assert first["programs"] == count
    assert first["found"] + len(first["missed"]) == first["expected_findings"]
    ours = tally[name]
    if (ours["misuses"], ours["healthy"]) != (count["misuses"], count["healthy"]):
        pytest.skip("run together with the programs above")
    precision = ours["hit"] / (ours["hit"] + ours["false"])
    print(
        f"\n{name} set, {count['healthy']} healthy programs, {count['misuses']} with a misuse: at first contact "
        f"precision {first['precision']}, recall {first['recall_with_those_that_have_no_rule']}; now precision "
        f"{precision:.3f}, recall {ours['hit'] / ours['expected']:.3f}"
    )
    assert precision == 1.0
