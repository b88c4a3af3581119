"""Programs written before their author had read the rules, whole and in the manner of forums and tutorials.

``heldout/first_contact.json`` says what the rules did when they first met these programs; since then rules were
mended on them. A line marked ``# missed: XEN703`` shows a misuse that is still not seen, ``# no rule: E5`` one of an
entry of the catalogue without a rule.
"""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest

from doctor.stage import FOLDER, Example, collect, found, play

HEALTHY, MISUSES = collect("heldout/healthy"), collect("heldout/misuses")
UNSEEN = re.compile(r"#\s*(?:missed|no rule): (\w+)")
FIRST = json.loads((FOLDER / "heldout" / "first_contact.json").read_text(encoding="utf-8"))
tally: Counter[str] = Counter()


@pytest.mark.parametrize("program", HEALTHY, ids=str)
def test_a_healthy_program_is_left_in_peace(program: Example) -> None:
    report = play(program)
    tally["false"] += len(report.at_least("warning"))
    assert report.ok, str(report)
    assert all("could not be evaluated" not in limit for limit in report.limits), report.limits


@pytest.mark.parametrize("program", MISUSES, ids=str)
def test_a_misuse_is_found_at_its_line(program: Example) -> None:
    unseen = UNSEEN.findall(program.code)
    assert program.expected or unseen, "a misuse is marked at its line"
    report = play(program)
    hits, false = program.expected & found(report), found(report, "warning") - program.expected
    tally.update(expected=len(program.expected) + len(unseen), hit=len(hits), false=len(false))
    assert hits == program.expected and not false, str(report)


def test_what_was_found_at_first_and_now() -> None:
    assert FIRST["programs"] == {"misuses": len(MISUSES), "healthy": len(HEALTHY)}
    assert FIRST["found"] + len(FIRST["missed"]) == FIRST["expected_findings"]
    if not tally["expected"]:
        pytest.skip("run together with the programs above")
    precision = tally["hit"] / (tally["hit"] + tally["false"])
    print(
        f"\n{len(HEALTHY)} healthy programs, {len(MISUSES)} with a misuse: at first contact precision "
        f"{FIRST['precision']}, recall {FIRST['recall_with_those_that_have_no_rule']}; now precision {precision:.3f}, "
        f"recall {tally['hit'] / tally['expected']:.3f}"
    )
    assert precision == 1.0
