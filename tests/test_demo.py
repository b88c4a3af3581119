"""The demo: what it promises is checked, and the checks can fail."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from rich.console import Console

import crossent
from crossent.demo import checks, command, identity, large, tables, training
from crossent.demo.checks import Check
from crossent.demo.identity import Way
from crossent.demo.large import Measured
from crossent.demo.training import Training

ROOT = str(Path(crossent.__file__).resolve().parent.parent)

pytest.importorskip("sklearn", reason="the demo's data")
pytest.importorskip("matplotlib", reason="the demo's plot")


def demo(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([*more.pop("first", "").split(), ROOT, os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, **more}
    line = [sys.executable, "-m", "crossent", "demo", *arguments]
    return subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, timeout=280)


def run_of(losses: list[float], right: int = 9) -> Training:
    return Training(losses=losses, test_loss=0.5, right=right, test_rows=10)


# --------------------------------------------------------------------------------------------------- the whole of it


def test_quick_demo(tmp_path: Path) -> None:
    done = demo(tmp_path, "--quick", "--out", "plot.png", COLUMNS="40")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "\x1b[" not in done.stdout, "colour although stdout is no terminal"
    assert max(map(len, done.stdout.splitlines())) <= 40
    assert done.stdout.count("\nok ") == 5 and "FAILED" not in done.stdout
    assert "plot: plot.png" in done.stdout
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_a_wrong_loss_fails_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A loss that is wrong by a hundred-thousandth part, beyond the reach of the eye."""

    class Wrong(crossent.CrossEntropyLoss):
        def forward(self, *arguments: Any) -> torch.Tensor:
            return super().forward(*arguments) * (1 + 1e-5)

    def not_measured(*arguments: Any, **options: Any) -> tuple[Measured, Measured]:
        return Measured("torch", failure="left out"), Measured("crossent")

    monkeypatch.setattr(crossent, "CrossEntropyLoss", Wrong)
    monkeypatch.setattr(large, "compare", not_measured)
    with pytest.raises(typer.Exit) as end:
        command.command(steps=25, out=tmp_path / "plot.png")
    assert end.value.exit_code == 1
    printed = " ".join(capsys.readouterr().out.split())
    assert "FAILED expected: the first 20 steps agree to 1e-06; came: largest relative difference 1" in printed
    assert "FAILED expected: both losses run at the large size; came: left out" in printed
    assert (tmp_path / "plot.png").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--out", "plot.jpg"], "expected a name that ends in .png"),
        (["--out", "no/where/plot.png"], "there is no folder"),
        (["--steps", "0"], "--steps"),
    ],
)
def test_unusable_options_are_refused(tmp_path: Path, arguments: list[str], words: str) -> None:
    done = demo(tmp_path, *arguments, COLUMNS="200")
    assert done.returncode == 2
    assert words in done.stderr and "Traceback" not in done.stderr


def test_a_missing_package_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setitem(command.NEEDS, "no_such_module", "no-such-package")
    with pytest.raises(typer.Exit) as end:
        command.command(out=tmp_path / "plot.png")
    assert end.value.exit_code == 2
    assert "no-such-package is missing; write: pip install 'crossent[demo]'" in capsys.readouterr().err


# ---------------------------------------------------------------------------------------------------------- checks


def test_checks_of_equal_runs_are_kept() -> None:
    results = checks.of_training(run_of([2.0, 1.0]), run_of([2.0, 1.0]))
    assert [check.kept for check in results] == [True, True, True]


@pytest.mark.parametrize(
    ("ours", "right", "kept"),
    [
        ([2.0 * (1 + 2e-6)] + [1.0] * 29, 9, [False, True, True]),  # an early step beyond 1e-6
        ([2.0] + [1.0] * 28 + [1.0 + 1e-5], 9, [True, True, True]),  # a late one may drift
        ([2.0] + [1.0] * 28 + [1.002], 9, [True, False, True]),  # but not so far
        ([2.0] + [1.0] * 29, 8, [True, True, False]),
        ([float("nan")] + [1.0] * 29, 9, [False, False, True]),
    ],
)
def test_each_check_can_fail(ours: list[float], right: int, kept: list[bool]) -> None:
    results = checks.of_training(run_of([2.0] + [1.0] * 29), run_of(ours, right))
    assert [check.kept for check in results] == kept


def test_identity_and_large_can_fail() -> None:
    assert not checks.of_identity([Way("a", 1.0), Way("b", 1.00001)])[0].kept
    assert checks.of_identity([Way("a", 1.0), Way("b", 1.0), Way("c", -0.1, is_cross_entropy=False)])[0].kept
    assert not checks.of_large(Measured("torch", loss=1.0), Measured("crossent", loss=1.0001))[0].kept
    assert not checks.of_large(Measured("torch", loss=1.0), Measured("crossent"))[0].kept  # NaN: nothing came


def test_a_broken_promise_says_what_came(capsys: pytest.CaptureFixture[str]) -> None:
    tables.checks(Console(width=100), [Check("all is well", False, "it is [not]")])
    assert capsys.readouterr().out.strip() == "FAILED  expected: all is well; came: it is [not]"


# ---------------------------------------------------------------------------------------------------------- pieces


def test_every_way_is_cross_entropy_but_the_mistake() -> None:
    ways = identity.ways(torch.randn(6, 10), torch.arange(6), "reference")
    assert checks.of_identity(ways)[0].kept
    assert ways[-1].value < 0 and not ways[-1].is_cross_entropy


def test_both_runs_start_and_learn_alike() -> None:
    from crossent.demo import digits

    data = digits.load(0)
    assert data.train_pixels.shape == (1437, 64) and len(data.test_labels) == 360
    assert data.train_pixels.max() == 1 and set(data.train_labels.tolist()) == set(range(10))
    loss = torch.nn.CrossEntropyLoss()
    first, second = (training.train(data, loss, 100, lambda: None) for _ in range(2))
    assert first.losses == second.losses
    assert first.losses[0] > 2 and first.accuracy > 0.85


def test_large_takes_turns_in_fresh_processes() -> None:
    both = large.compare(512, 4000, rounds=1, after_process=lambda: None)
    logits = 512 * 4000 * 4
    for measured in both:
        assert measured.failure == ""
        assert len(measured.milliseconds) == large.REPEATS and measured.median_ms > 0
        if measured.median_bytes is not None:
            assert logits * 0.8 < measured.median_bytes < logits * 40, "the gradient alone is as large as the logits"
    assert both[0].served == "torch"
    assert both[1].served.split()[0] in ("cpu", "reference"), "torch would be compared with torch"
    assert checks.of_large(*both)[0].kept


def test_a_process_that_fails_is_told() -> None:
    nobody = Measured("torch")
    large._run_process(nobody, -1, 10)
    assert nobody.failure.startswith("torch ended with status 1: RuntimeError")
    assert checks.of_large(nobody, Measured("crossent"))[0].came == nobody.failure


def test_the_demo_says_which_backend_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    from crossent import dispatch

    monkeypatch.setattr(dispatch, "reason_against", lambda *arguments: "numba is not installed")
    name, sentence = command.engine()
    assert name == "reference" and "numba is not installed" in sentence
    monkeypatch.setattr(dispatch, "reason_against", lambda *arguments: None)
    assert command.engine()[0] == "cpu"


@pytest.mark.slow
def test_whole_demo(tmp_path: Path) -> None:
    done = demo(tmp_path, NO_COLOR="1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "crossent-demo.png").stat().st_size > 20_000
