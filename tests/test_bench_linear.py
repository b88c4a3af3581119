"""``crossent bench linear``: a small run from the command line to the plot, and what its parts say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from crossent import internals
from crossent.bench.linear import cases, promises, providers, report, run
from crossent.cli import app

SMALL = ("96x16x300/bf16", "64x16x300/fp32/sweep", "64x16x600/fp32/sweep")


def test_a_small_run(tmp_path: Path) -> None:
    arguments = ["bench", "linear", "--seconds", "0", "--rounds", "1", "--threads", "1", "--out", str(tmp_path)]
    arguments += [part for name in SMALL for part in ("--cases", name)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "result.json").read_text())["cases"]
    assert set(found) == set(SMALL)
    for name, case in found.items():
        rows = case["rows"]
        assert {providers.PRODUCTS, providers.PLAIN, providers.OURS} <= set(rows)
        assert all(row["median_ms"] > 0 for row in rows.values())
        assert all(used["extra_bytes"] is not None for used in case["memory"].values())
        loss, d_input, d_weight = case["errors"][providers.OURS]
        most = 1e-5 if "fp32" in name else 5e-3
        assert max(loss, d_input, d_weight) < most
        assert "choice" in case["plans"] and "rows=64" in case["plans"]
        assert set(case["measured"]) == {"rows", "plans", "memory"} and not case["failed"]
    assert "the plan's choice" in done.output and "liger-kernel" in done.output
    stamp = (tmp_path / "result.json").stat().st_mtime_ns
    again = CliRunner().invoke(app, arguments)  # nothing is measured twice
    assert again.exit_code == 0 and (tmp_path / "result.json").stat().st_mtime_ns == stamp


def test_parts_are_taken_up_one_by_one(tmp_path: Path) -> None:
    arguments = ["bench", "linear", "--seconds", "0", "--rounds", "1", "--threads", "1", "--out", str(tmp_path)]
    arguments += ["--cases", SMALL[1]]
    seen = list[set[str]]()
    for more in (["--quick"], ["--no-memory"], ["--minutes", "0"], []):
        done = CliRunner().invoke(app, arguments + more)
        assert done.exit_code == (3 if "--minutes" in more else 0), done.output
        seen.append(set(json.loads((tmp_path / "result.json").read_text())["cases"][SMALL[1]]["measured"]))
    assert seen == [{"rows"}, {"rows", "plans"}, {"rows", "plans"}, {"rows", "plans", "memory"}]


def test_what_a_process_died_of_is_on_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run.sys, "executable", "false")
    plan = run.Plan(threads=1, seconds=0, rounds=1, memory=False, plans=True)
    found = run.one(cases.by_name(SMALL[0]), run.PLANS, plan, {"measured": {}, "failed": {"somebody": "why"}})
    assert found["plans"] == {} and found["failed"] == {"somebody": "why", "plans": "ended with status 1"}


def test_the_real_heads_are_all_there() -> None:
    heads = {(case.features, case.classes) for case in cases.table()}
    assert {(768, 50257), (2048, 128256), (4096, 128256), (2304, 256000), (1024, 151936)} <= heads
    assert all(cases.by_name(case.name) == case for case in cases.table())


@pytest.mark.parametrize("arguments", [("nothing",), ("linear", "--cases", "axb"), ("linear", "--cases", "0x1x2/fp32")])
def test_refusals(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["bench", *arguments, "--out", str(tmp_path)])
    assert done.exit_code == 2


def test_a_choice_that_is_too_slow_is_called_so() -> None:
    times = {"choice": {"median_ms": 12.0}, "rows=64": {"median_ms": 10.0}}
    assert "MISSED" in report.choice(times)
    assert "MISSED" not in report.choice(times | {"choice": {"median_ms": 10.9}})


def test_promises_are_held_against_the_times() -> None:
    times = {"crossent": 1070.0, "products": 1000.0, "torch chunked": 2200.0, "one product": 330.0}
    rows = {name: {"median_ms": ms} for name, ms in times.items()}
    rows["crossent, no gradient"] = {"median_ms": 360.0}
    found = promises.lines(cases.by_name("2048x768x32000/fp32"), rows)
    assert [line.split()[0] for line in found] == ["met", "met", "MISSED"]
    assert "1.091 of one product" in found[2]
    assert promises.lines(cases.by_name("2048x768x32001/fp32"), rows) == []


def test_the_sweep_measures_what_it_draws() -> None:
    makers = providers.makers(providers.Problem(cases.by_name("8x4x16/fp32/sweep")))
    assert set(makers) == set(providers.DRAWN) - (set() if internals.torch_linear_options else {providers.CHUNKED})
