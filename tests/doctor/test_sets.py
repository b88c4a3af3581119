"""Healthy recipes, of which nothing may be said, and repros of misuses, each to be found at its line.

A recipe or a repro is a file of Python in ``recipes`` or ``repros``; anybody can add one. Precision and recall are
printed by the last test (``pytest -s``).
"""

from __future__ import annotations

from collections import Counter

import pytest

from doctor.stage import Example, collect, found, play

RECIPES, REPROS = collect("recipes"), collect("repros")
tally: Counter[str] = Counter()


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_a_healthy_recipe_is_left_in_peace(recipe: Example) -> None:
    assert not recipe.expected
    report = play(recipe)
    loud = found(report, "warning")
    tally["false alarms in recipes"] += len(loud)
    assert not loud, str(report)
    assert all("could not be evaluated" not in limit for limit in report.limits), report.limits


@pytest.mark.parametrize("repro", REPROS, ids=str)
def test_a_misuse_is_found_at_its_line(repro: Example) -> None:
    assert repro.expected, "a repro marks the lines of its misuses"
    report = play(repro)
    hits = repro.expected & found(report)
    false = found(report, "warning") - repro.expected
    tally["expected"] += len(repro.expected)
    tally["hit"] += len(hits)
    tally["false in repros"] += len(false)
    assert hits == repro.expected, str(report)
    assert not false, str(report)


def test_the_sets_are_large_enough_and_what_they_say() -> None:
    assert len(RECIPES) >= 40 and len(REPROS) >= 60
    if not tally["expected"]:
        pytest.skip("run together with the examples above")
    said = tally["hit"] + tally["false in repros"] + tally["false alarms in recipes"]
    precision, recall = tally["hit"] / said, tally["hit"] / tally["expected"]
    print(f"\n{len(RECIPES)} healthy recipes, {len(REPROS)} repros: precision {precision:.3f}, recall {recall:.3f}")
    assert precision == recall == 1.0
