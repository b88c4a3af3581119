"""crossent.patch() and unpatch() in a program that the doctor watches."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import crossent
from crossent import doctor, handover
from crossent.doctor.hooks import MARK

MODEL = nn.Linear(20, 10)
X, Y = torch.randn(32, 20), torch.arange(32) % 10


@pytest.fixture
def served() -> Iterator[list[str]]:
    """Who has served the calls of crossent's functions."""
    names: list[str] = []

    def listen(call: handover.Served) -> None:
        names.append(call.function)

    handover.add_listener(listen)
    yield names
    handover.remove_listener(listen)


@pytest.fixture(autouse=True)
def _no_warning_of_the_patch() -> Iterator[None]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", RuntimeWarning)
        yield
    assert not caught, [str(warning.message) for warning in caught]


def wrong_loss() -> Tensor:
    return F.cross_entropy(MODEL(X).softmax(1), Y)


def test_calls_stay_watched_and_the_right_function_serves(served: list[str]) -> None:
    own = F.cross_entropy
    with doctor.watch(announce=None) as watching:
        for _ in range(2):
            wrong_loss()
            assert not served
            crossent.patch()
            wrong_loss()
            assert served.pop() == "cross_entropy"
            crossent.unpatch()
        with crossent.patch():
            nn.CrossEntropyLoss()(MODEL(X).softmax(1), Y)
        assert served.pop() == "cross_entropy"
        wrong_loss()
    assert watching.watched_calls == 6 and set(watching.report.codes) == {"XEN101"}
    assert F.cross_entropy is own and not served


def test_a_patch_outlives_the_watch_and_the_other_way_round(served: list[str]) -> None:
    own = F.cross_entropy
    with doctor.watch(announce=None), doctor.watch(announce=None):
        crossent.patch()
    assert getattr(F, "cross_entropy") is crossent.cross_entropy and not hasattr(crossent.cross_entropy, MARK)  # noqa: B009
    with doctor.watch(announce=None) as watching:
        crossent.unpatch()
        wrong_loss()
    assert F.cross_entropy is own and watching.report.codes == ["XEN101"] and not served


def test_a_name_bound_while_watched_follows_and_is_not_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    with doctor.watch(announce=None):
        monkeypatch.setitem(globals(), "loss", F.cross_entropy)
        with crossent.patch() as patched:
            assert not [bound for bound in patched.bound_before if bound.module == __name__]


def test_what_is_compiled_follows_too() -> None:
    logits = torch.randn(32, 10)  # a leaf: Dynamo asks for .grad, which warns elsewhere
    with doctor.watch(announce=None):
        step = torch.compile(lambda x, y: F.cross_entropy(x, y, reduction="sum"), backend="eager", fullgraph=True)
        before = step(logits, Y)
        with crossent.patch():
            torch.testing.assert_close(step(logits, Y), before)
            assert getattr(torch.jit.script(_scripted), "code").count("cross_entropy")  # noqa: B009
        torch.testing.assert_close(step(logits, Y), before)


def _scripted(x: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(x, y)


PROGRAM = """
import sys, torch, crossent
import torch.nn.functional as F
from torch.nn.functional import nll_loss

model, x, y = torch.nn.Linear(20, 10), torch.randn(32, 20), torch.arange(32) % 10
crossent.patch()
F.cross_entropy(model(x).softmax(1), y).backward()  # XEN101
crossent.unpatch()
nll_loss(model(x), y).backward()  # XEN104
"""


@pytest.mark.parametrize("losses", ["crossent", "torch"])
def test_a_program_that_patches_itself(losses: str, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(PROGRAM)
    done = run(tmp_path, "--losses", losses, "--doctor", "--report", "report.json", "own.py")
    assert done.returncode == 0, done.stderr
    findings = json.loads((tmp_path / "report.json").read_text())["findings"]
    lines = {code: PROGRAM.splitlines().index(f"{line}  # {code}") + 1 for line, code in MISUSES}
    assert {finding["code"]: finding["line"] for finding in findings} == lines
    assert "Warning" not in done.stderr and "replaced" not in done.stderr
    assert done.stderr.count("crossent.unpatch()") == (losses == "crossent"), done.stderr


MISUSES = (
    ("F.cross_entropy(model(x).softmax(1), y).backward()", "XEN101"),
    ("nll_loss(model(x), y).backward()", "XEN104"),
)


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    root = str(Path(crossent.__file__).resolve().parent.parent)
    command = [sys.executable, "-m", "crossent", "run", *arguments]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
