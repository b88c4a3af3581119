"""The benchmark: that it measures what it says. Nothing here asserts a time."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from crossent.bench import (
    agreement,
    cases,
    check,
    copying,
    inputs,
    load,
    promises,
    providers,
    record,
    run,
    timing,
)
from crossent.bench.timing import Timed
from serving import in_fresh_process

SMALL = cases.by_name("64x300/fp32/both")


# ---- cases -------------------------------------------------------------------------------------


def test_names_are_unique_and_lead_back_to_the_case() -> None:
    table = cases.table()
    assert len({case.name for case in table}) == len(table)
    assert all(cases.by_name(case.name) == case for case in table)


def test_every_promise_is_about_a_case_of_the_table() -> None:
    assert {promise.case for promise in promises.ALL} <= {case.name for case in cases.table()}


@pytest.mark.parametrize(
    ("name", "passes"),
    [
        ("2048x32000/fp32/forward", 1),
        ("2048x32000/fp32/both", 2),
        ("2048x32000/bf16/both/none", 3),
        ("2048x32000/fp32/both/probabilities", 3),
    ],
)
def test_byte_model(name: str, passes: int) -> None:
    case = cases.by_name(name)
    assert case.moved_bytes == passes * 2048 * 32000 * (4 if "fp32" in name else 2) + 8 * 2048


def test_selection() -> None:
    assert [case.name for case in cases.select(["16384x1000/*/both/z_loss"], ["bf16"])] == [
        "16384x1000/bf16/both/z_loss"
    ]
    assert {case.shape for case in cases.select(["x512x512"])} == {(8, 21, 512, 512), (8, 150, 512, 512)}
    assert [case.name for case in cases.select(["2048x32000/fp32/both"])] == ["2048x32000/fp32/both"]
    assert len(cases.select(["2048x32000/fp32/"])) == 2 + len(cases.SETTINGS)
    assert {case.name for case in cases.select(quick=True)} == set(cases.QUICK)


# ---- results before times ----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("setting", (cases.PLAIN, *cases.SETTINGS), ids=lambda setting: setting.name or "plain")
@pytest.mark.parametrize("provider", [providers.EAGER, providers.OURS, providers.OURS_IN_PLACE], ids=lambda p: p.label)
def test_providers_agree(provider: providers.Provider, setting: cases.Setting, dtype: str) -> None:
    case = replace(SMALL, setting=setting, dtype=dtype)
    if (reason := provider.why_not(case)) is not None:
        pytest.skip(reason)
    made = inputs.make(case)
    step = provider.make(made)
    for _ in range(2):  # the second call finds what the first one left: `.grad`, overwritten logits
        off = agreement.difference(agreement.run(step), agreement.standard(made))
        assert off.against(case) is None, off


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_wrong_results_are_not_timed(dtype: str) -> None:
    made = inputs.make(replace(SMALL, dtype=dtype))
    expected = agreement.standard(made)
    loss, gradients = agreement.run(providers.eager(made))
    assert gradients is not None
    (gradient,) = gradients
    labels_only = torch.where(gradient < 0, gradient, 0)  # softmax forgotten: small numbers, but most of them
    doubled = gradient * 1.2
    broken = gradient.clone()
    broken[3, 7] = torch.nan
    for wrong in (labels_only, doubled, broken, None, gradient[:10]):
        found = None if wrong is None else (wrong,)
        assert agreement.difference((loss, found), expected).against(made.case) is not None
    for wrong in (loss * 1.05, loss * torch.nan):
        assert agreement.difference((wrong, (gradient,)), expected).against(made.case) is not None


def test_peers_are_left_out_with_a_reason() -> None:
    assert all(provider.why_not(SMALL) for provider in providers.PEERS)


# ---- times -------------------------------------------------------------------------------------


def test_quartiles() -> None:
    assert timing.quartiles([5.0, 1.0, 4.0, 2.0, 3.0]) == (2.0, 3.0, 4.0)
    assert timing.quartiles([2.0]) == (2.0, 2.0, 2.0)


def test_turns() -> None:
    log: list[str] = []

    def one(label: str) -> Timed:
        return Timed(label, lambda: log.append(f"prepare {label}"), lambda: log.append(label))

    rounds: list[int] = []
    times = timing.in_turns(
        [one("a"), one("b"), one("c")], seconds=0, rounds=4, after_round=lambda done, planned: rounds.append(done)
    )
    assert rounds == [1, 2, 3, 4]
    assert {label: len(each.seconds) for label, each in times.items()} == {"a": 4, "b": 4, "c": 4}
    assert all(log[index] == f"prepare {log[index + 1]}" for index in range(0, len(log), 2))
    calls = log[6::2]  # after the warm-up: short calls are repeated within a round
    firsts = [calls[index * len(calls) // 4] for index in range(4)]
    assert firsts == ["prepare a", "prepare b", "prepare c", "prepare a"]


def test_summary_is_of_the_rounds() -> None:
    summary = timing.Times([0.003, 0.001, 0.002], [0.0, 4.0, 2.0]).summary()
    assert (summary["median_ms"], summary["least_ms"], summary["rounds"], summary["page_faults"]) == (2.0, 1.0, 3, 2.0)


@pytest.mark.parametrize("elements", [1, 1000, 5001, 3_000_000])
def test_every_way_to_copy_copies_everything(elements: int) -> None:
    logits = torch.randn(elements)
    for name, copy in copying.ways(logits).items():
        copied = copy()
        assert torch.equal(copied, logits) and copied.data_ptr() != logits.data_ptr(), name


def test_share_of_others() -> None:
    before = load.Usage(total=1000, idle=500, own=100)
    assert load.share_of_others(before, load.Usage(total=1200, idle=500, own=300)) == 0
    assert load.share_of_others(before, load.Usage(total=1200, idle=550, own=200)) == 0.25
    assert load.share_of_others(None, before) is None


# ---- memory ------------------------------------------------------------------------------------

KNOWN_ALLOCATION = """
from crossent import peak_memory
import torch
kept = torch.ones(5_000_000)  # what was there before is not counted
def call():
    first = torch.ones(16_000_000)
    del first  # 64 MB that are gone before the end count: it is the peak that is asked for
    torch.ones(4_000_000)
print(peak_memory.extra_bytes(call))
print(peak_memory.extra_bytes(lambda: None))
"""


@pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="the peak of a process can be reset on Linux only"
)
def test_peak_memory_of_a_known_allocation() -> None:
    peak, nothing = map(int, in_fresh_process(KNOWN_ALLOCATION).split())
    assert peak == pytest.approx(64e6, rel=0.03)
    assert nothing < 1e6


# ---- the file ----------------------------------------------------------------------------------


def _row(provider: str, buffer: str, median_ms: float, served: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "provider": provider, "buffer": buffer, "median_ms": median_ms, "quartiles_ms": [median_ms, median_ms],
        "copy_ms": 10.0, "served": list(served), "page_faults": 0.0,
    }  # fmt: skip


def _report(name: str, *rows: dict[str, Any], **more: Any) -> dict[str, Any]:
    case = cases.by_name(name)
    sizes = {"logits_bytes": case.logits_bytes, "moved_bytes": case.moved_bytes}
    return {"case": name, "rows": list(rows), "failed": {}, "left_out": {}, **sizes, **more}


def _about() -> dict[str, Any]:
    return {"cpu": "a CPU", "threads": 2, "memory_gib": 1.0, "torch": "2", "numba": "0", "crossent": "0"}


def test_a_stopped_run_goes_on(tmp_path: Path) -> None:
    found = record.resume(tmp_path / "result.json", {"cpu": "one", "threads": 2})
    found.cases["64x300/fp32/both"] = _report("64x300/fp32/both", others_cpu={"fresh": 0.5})
    found.save()
    again = record.resume(tmp_path / "result.json", {"cpu": "one", "threads": 2})
    assert again.cases == found.cases
    plan = run.Plan(threads=2, providers=(), seconds=0, rounds=1, memory=False)
    other = cases.by_name("65x300/fp32/both")
    assert run.left(again, [SMALL, other], plan) == [other]
    assert run.left(again, [SMALL, other], replace(plan, redo_busy=True)) == [SMALL, other]
    with pytest.raises(record.Unlike, match="threads: 2 -> 4"):
        record.resume(tmp_path / "result.json", {"cpu": "one", "threads": 4})


# ---- the promises ------------------------------------------------------------------------------


def _verdicts(*reports: dict[str, Any]) -> dict[tuple[str, str, str], check.Verdict]:
    found = record.Record(Path("none"), _about(), {report["case"]: report for report in reports})
    return {(each.case, each.buffer, each.what): each for each in check.verdicts(found)}


def test_met_and_missed() -> None:
    name = "2048x32000/fp32/both"
    fresh, in_place = _row("crossent", "fresh", 19.0, ("cpu",)), _row("crossent", "in place", 10.1, ("cpu",))
    rivals = _row("torch eager", "fresh", 160.0), _row("torch.compile", "fresh", 75.0)
    memory = {
        "crossent": {"extra_bytes": 106, "gradient_bytes": 100},
        "crossent in place": {"extra_bytes": 0, "gradient_bytes": 100},
    }
    found = _verdicts(_report(name, fresh, in_place, *rivals, memory=memory))
    assert found[name, "fresh", "time"][4:] == ("1.9 T", check.MET)
    assert found[name, "fresh", "against torch eager"][4:] == ("8.42 x", check.MET)
    assert found[name, "fresh", "against torch.compile"][4:] == ("3.95 x", check.MISSED)
    assert found[name, "in place", "time"][4:] == ("1.01 T", check.MISSED)
    assert found[name, "warm", "time"].verdict == check.ABSENT
    assert found[name, "fresh", "served by"].verdict == check.MET
    assert found[name, "fresh", "extra memory"].verdict == check.MISSED
    assert found[name, "in place", "extra memory"].verdict == check.MET
    assert found["start", "", "first call"].verdict == check.ABSENT


@pytest.mark.parametrize("served", [("reference",), ("composite",), ("cpu", "torch"), ("not reported",), ()])
def test_a_row_without_the_engine_is_a_miss(served: tuple[str, ...]) -> None:
    name = "2048x32000/fp32/both/z_loss"
    found = _verdicts(_report(name, _row("crossent", "fresh", 1.0, served)))
    assert found[name, "fresh", "served by"].verdict == check.MISSED


def test_small_calls_may_be_some_microseconds_slower() -> None:
    name = "1x10/fp32/both"
    eager = _row("torch eager", "fresh", 0.020)
    for ours, verdict in ((0.0239, check.MET), (0.0241, check.MISSED)):
        found = _verdicts(_report(name, eager, _row("crossent", "fresh", ours, ("torch (small call)",))))
        assert found[name, "fresh", "against torch eager"].verdict == verdict


def test_options_weaken_every_limit() -> None:
    by_key = {(promise.case, promise.buffer): promise for promise in promises.ALL}
    z_loss, upstream = (by_key[f"2048x32000/fp32/both/{name}", "in place"] for name in ("z_loss", "upstream"))
    assert (z_loss.most_copies, z_loss.eager, z_loss.compiled) == pytest.approx((1.25, 12, 3.2))
    assert (upstream.most_copies, upstream.eager, upstream.compiled) == pytest.approx((1 / 0.6, 9, 2.4))


# ---- the command -------------------------------------------------------------------------------


def _invoke(*words: str) -> Any:
    from crossent.cli import app

    return CliRunner().invoke(app, ["bench", *words])


def test_list() -> None:
    result = _invoke("--list", "--dtype", "fp32")
    assert result.exit_code == 0
    assert "2048x32000/fp32/both/z_loss" in result.output and "bf16" not in result.output


def test_refusals() -> None:
    for words in (("--cases", "nothing"), ("--dtype", "fp8"), ("--providers", "magic"), ("--check", "absent.json")):
        result = _invoke(*words)
        assert result.exit_code == 2, result.output


def test_check_says_what_is_missed(tmp_path: Path) -> None:
    name = "65536x10/fp32/both"
    rows = (
        _row("torch eager", "fresh", 6.0),
        _row("torch.compile", "fresh", 1.5),
        _row("crossent", "fresh", 1.2, ("cpu",)),
    )
    path = tmp_path / "result.json"
    record.Record(path, _about(), {name: _report(name, *rows, others_cpu={"fresh": 0.4})}).save()
    result = _invoke("--check", str(path))
    assert result.exit_code == 1
    line = next(line for line in result.output.splitlines() if line.startswith(name) and "eager" in line)
    assert "5 x" in line and check.MISSED in line
    assert "1 of 1 cases were disturbed" in result.output


def test_one_case_from_the_first_process_to_the_plots(tmp_path: Path) -> None:
    from crossent.bench import about, plots

    case = cases.by_name("2048x32000/fp32/both")  # the name that a promise knows, on few rows
    small = cases.by_name("64x40000/fp32/both")
    found = record.resume(tmp_path / "result.json", about.collect(2))
    plan = run.Plan(threads=2, providers=(cases.EAGER, cases.OURS), seconds=0, rounds=2, memory=False)
    events: list[dict[str, Any]] = []
    assert list(run.measure(found, [small], plan, events.append)) == [small]
    report = json.loads((tmp_path / "result.json").read_text())["cases"][small.name]
    assert not report["failed"], report["failed"]
    served = {row["buffer"]: row["served"] for row in report["rows"] if row["provider"] == cases.OURS}
    assert set(served) >= {"fresh"} and all(served.values()), served
    assert all(row["median_ms"] > 0 and row["copy_ms"] > 0 and row["rounds"] == 2 for row in report["rows"])
    assert {"date", "commit", "load", "copies", "others_cpu"} <= report.keys()
    assert [event for event in events if event["event"] == "round"]
    if importlib.util.find_spec("matplotlib") is not None:
        found.cases = {case.name: {**report, "case": case.name}}
        assert {path.name for path in plots.draw(tmp_path, found)} == {"speedup.png", "floor.png"}


@pytest.mark.slow  # torch.compile, and a process for every provider's memory
def test_every_provider_and_its_memory() -> None:
    plan = run.Plan(
        threads=2, providers=tuple(each.label for each in providers.ALL), seconds=0, rounds=2, memory=True
    )  # fmt: skip
    report = run.one(cases.by_name("256x40000/fp32/both"), plan, lambda event: None)
    assert not report["failed"]
    assert set(report["left_out"]) == {each.label for each in providers.PEERS}
    extra = {label: found["extra_bytes"] / found["gradient_bytes"] for label, found in report["memory"].items()}
    assert extra["torch eager"] == pytest.approx(3, abs=0.1)
    assert extra["crossent"] >= 0.95
    assert extra["crossent in place"] < 0.5


# ---- the guard ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def guard() -> Any:
    path = Path(__file__).resolve().parent.parent / "benchmarks" / "guard.py"
    if not path.exists():
        pytest.skip("benchmarks/ is part of the repository, not of the source distribution")
    spec = importlib.util.spec_from_file_location("guard", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["guard"] = module
    spec.loader.exec_module(module)
    return module


def test_guard_reads_callgrinds_dumps(guard: Any) -> None:
    dumps = [
        "version: 1\ndesc: Trigger: Client Request: fp32 row_stats\n\nevents: Ir\nsummary: 300915\n\ntotals: 301205\n",
        "desc: Trigger: Program termination\nsummary: 5\n",
    ]
    assert guard.parse(dumps) == {"fp32 row_stats": 301205}


def test_guard_shows_what_has_changed(guard: Any, capsys: pytest.CaptureFixture[str]) -> None:
    before = {"same": 1000, "nearly": 1000, "worse": 1000, "better": 1000, "gone": 7}
    now = {"same": 1000, "nearly": 1019, "worse": 4000, "better": 500, "new": 9}
    assert [(name, change) for name, _, _, change in guard.compare(before, now)] == [
        ("better", "-50.0%"), ("gone", "gone"), ("new", "new"), ("worse", "+300.0%"),
    ]  # fmt: skip
    baseline = {"versions": guard.versions(), "instructions": before}
    assert guard.report(baseline, now) == 1
    assert "--accept" in capsys.readouterr().out
    assert guard.report(baseline, before) == 0


def test_guard_skips_with_a_reason(
    guard: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(guard.shutil, "which", lambda name: None)
    assert guard.main([]) == 0
    assert "valgrind is not installed" in capsys.readouterr().out
