"""The benchmark of a device, with the CPU standing in for it: cases, floors, peers, promises, one case to the plots."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from crossent.bench import agreement, cases, check, copying, inputs, places, promises, providers, record, run, timing

LOGITS = cases.by_name("stand-in/64x40000/bf16/both")
HEAD = cases.by_name("stand-in/linear/64x32x3000/bf16/both")


def test_names_are_read_back() -> None:
    for case in cases.device_table(cases.CUDA):
        assert cases.by_name(case.name) == case
    assert HEAD.name == "stand-in/linear/64x32x3000/bf16/both" and HEAD.shape == (64, 3000) and HEAD.features == 32
    assert HEAD.operations == 6 * 64 * 32 * 3000
    assert replace(HEAD, mode="forward").operations == 2 * 64 * 32 * 3000
    assert cases.by_name("2048x32000/fp32/both").device == cases.CPU


def test_the_table_has_what_was_asked_for() -> None:
    table = cases.device_table(cases.CUDA)
    logits = {(case.shape[1], case.dtype) for case in table if not case.features and case.mode == "both"}
    assert logits == {(v, d) for v in (1000, 4096, 32000, 50257, 128256, 262144) for d in ("bf16", "fp32")}
    heads = {(case.shape[0], case.features, case.shape[1]) for case in table if case.features}
    ignored = {case.shape for case in table if case.setting.ignored}
    assert ignored == {(case.shape[0], case.shape[1]) for case in table if case.features}
    assert heads == {(4096, 4096, 128256), (16384, 2048, 131072), (8192, 2304, 256000)}
    assert cases.select(["linear"], device=cases.CUDA) == [case for case in table if case.features]
    assert all(case.device == cases.CPU for case in cases.select())


def test_floors() -> None:
    made = inputs.make(HEAD)
    assert made.head is not None
    logits = copying.products(made)["products"]()
    torch.testing.assert_close(logits, made.logits @ made.head.t())
    moved = {"moved_bytes": 2 * 100, "logits_bytes": 100}
    assert record.of_floor(moved, {"copy_ms": 1.0, "median_ms": 2.0}) == 0.5
    assert record.of_floor({"operations": 7, **moved}, {"copy_ms": 3.0, "median_ms": 4.0}) == 0.75
    assert record.of_floor({"moved_bytes": 100, "logits_bytes": 100}, {"copy_ms": 1.0, "median_ms": 1.0}) == 0.5


def test_a_linear_result_that_is_wrong_in_one_gradient_is_not_timed() -> None:
    made = inputs.make(HEAD)
    expected = agreement.standard(made)
    loss, gradients = agreement.run(providers.eager(made))
    assert gradients is not None and len(gradients) == 2
    assert agreement.difference((loss, gradients), expected).against(HEAD) is None
    broken = gradients[1].clone()
    broken[5, 7] = torch.nan
    for wrong in ((gradients[0] * 1.2, gradients[1]), (gradients[0], gradients[1] * 0), (gradients[0], broken)):
        assert agreement.difference((loss, wrong), expected).against(HEAD) is not None
    assert agreement.difference((loss, gradients[:1]), expected).against(HEAD) is not None


def test_ignored_rows_of_a_head_are_announced() -> None:
    made = inputs.make(cases.by_name(f"{HEAD.name}/ignored"))
    count = made.keywords["valid_rows"]
    assert 0 < count < 0.4 * HEAD.rows and count == int((made.target >= 0).sum())
    expected, (loss, gradients) = agreement.standard(made), agreement.run(providers.ours(made))
    assert agreement.difference((loss, gradients), expected).against(made.case) is None


def test_the_choice_of_the_plan_is_a_promise() -> None:
    name = "cuda/linear/4096x4096x128256/bf16/both"
    for best, word in ((18.0, check.MET), (12.0, check.MISSED)):
        plans = {"choice": {"median_ms": 19.0}, "rows=256": {"median_ms": best}, "recompute": {"median_ms": 30.0}}
        report = {"rows": [], "left_out": {}, "plans": plans}
        verdicts = check.verdicts(record.Record(Path("none"), {"device": "a device"}, {name: report}))
        found = [each for each in verdicts if each.what == "the plan's choice"]
        assert [each.verdict for each in found] == [word]


def test_peers_say_why_they_are_left_out() -> None:
    reasons = {each.label: each.why_not(replace(HEAD, device=cases.CUDA)) for each in providers.PEERS}
    for label, package in (("liger-kernel linear", "liger_kernel"), ("cut-cross-entropy", "cut_cross_entropy")):
        if importlib.util.find_spec(package) is None:
            assert reasons[label] == f"{package} is not installed"
    assert reasons["quack"] == "its loss of a linear head is another provider"
    assert {each.why_not(HEAD) for each in providers.PEERS if each.label == "cut-cross-entropy"} != {None}


def test_the_clock_of_a_place_is_used() -> None:
    ticks = iter(range(1, 1000))
    one = timing.Timed("a", lambda: None, lambda: None)
    times = timing.in_turns([one], seconds=0, rounds=3, after_round=lambda *_: None, clock=lambda call: next(ticks))
    assert times["a"].seconds == [2, 3, 4]


@pytest.mark.skipif(torch.cuda.is_available(), reason="here is a device: make gpu-bench")
def test_without_a_device_nothing_is_measured() -> None:
    from crossent.cli import app

    assert places.why_not("tpu")
    for words in (["--device", "cuda"], ["--device", "tpu"]):
        result = CliRunner().invoke(app, ["bench", *words])
        assert result.exit_code == 2, result.output
    listed = CliRunner().invoke(app, ["bench", "--device", "cuda", "--list"])
    assert listed.exit_code == 0 and "cuda/linear/4096x4096x128256/bf16/both" in listed.output


def _row(provider: str, buffer: str, median_ms: float, served: tuple[str, ...] = ()) -> dict[str, Any]:
    quartiles = [median_ms, median_ms]
    return {"provider": provider, "buffer": buffer, "median_ms": median_ms, "quartiles_ms": quartiles,
            "copy_ms": 10.0, "served": list(served)}  # fmt: skip


def test_promises_of_a_device() -> None:
    name, head = "cuda/8192x32000/bf16/both", "cuda/linear/4096x4096x128256/bf16/both"
    rows = [
        _row("crossent", "fresh", 11.0, ("gpu",)),
        _row("torch.compile", "fresh", 12.0),
        _row("quack", "fresh", 10.9),
    ]
    reports: dict[str, Any] = {
        name: {"rows": rows, "left_out": {"liger-kernel in place": "not installed"}},
        head: {"rows": [_row("crossent", "fresh", 18.5, ("gpu",))], "left_out": {}},
    }
    found = record.Record(Path("none"), {"device": "a device"}, reports)
    verdicts = {(each.case, each.what): each for each in check.verdicts(found)}
    assert verdicts[name, "time"].verdict == check.MET
    assert verdicts[name, "against torch.compile"].verdict == check.MET
    assert verdicts[name, "against quack"].verdict == check.MISSED
    liger = verdicts[name, "against liger-kernel in place"]
    assert (liger.verdict, liger.came) == (check.ABSENT, "not installed")
    assert verdicts[head, "time"].verdict == check.MISSED and verdicts[head, "milliseconds"].verdict == check.MISSED
    assert {promise.case for promise in promises.ON_CUDA} <= {case.name for case in cases.device_table(cases.CUDA)}


@pytest.mark.parametrize("case", [LOGITS, HEAD], ids=str)
def test_one_case_from_the_first_process_to_the_plots(case: cases.Case, tmp_path: Path) -> None:
    from crossent.bench import about, plots

    found = record.resume(tmp_path / "result.json", about.collect(2, cases.STAND_IN))
    assert found.about["device"] == "the CPU in the place of a device: no result"
    labels = (cases.EAGER, cases.OURS, "crossent in place", "quack", "cut-cross-entropy")
    plan = run.Plan(threads=2, providers=labels, seconds=0, rounds=2, memory=True)
    assert list(run.measure(found, [case], plan, lambda event: None)) == [case]
    report = json.loads((tmp_path / "result.json").read_text())["cases"][case.name]
    assert not report["failed"], report["failed"]
    assert "memory" not in report and all(row["extra_bytes"] >= 0 for row in report["rows"])
    assert {row["buffer"] for row in report["rows"]} <= {"fresh", "in place"}, "no warm phase: a device's memory is"
    measured, skipped = {row["provider"] for row in report["rows"]}, set(report["left_out"])
    assert {cases.EAGER, cases.OURS} <= measured and {"quack", "cut-cross-entropy"} <= skipped
    if case.features:
        assert {"choice", "rows=64", "recompute", "classes=16384", "16-bit sums"} == set(report["plans"])
    assert next(iter(report["copies"]["fresh"])) == ("products" if case.features else "copy_")
    if importlib.util.find_spec("matplotlib") is not None:
        known = next(each for each in cases.device_table(cases.STAND_IN) if bool(each.features) == bool(case.features))
        found.cases = {known.name: {**report, "case": known.name}}
        assert {path.name for path in plots.draw(tmp_path, found)} == {
            "device-linear.png" if case.features else "device.png"
        }
