"""The device suite itself: skipped with a reason without a device, and in parts with what has passed left out.

Its own code runs here on the CPU standing in for a device: proof that it runs, none of what a device would say.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent
FEW = "graph or streams or (waits and plain) or autocast or (against_float64 and special and plus_inf and f32)"


def suite(*words: str, **environment: str) -> tuple[int, str]:
    """Exit status and output of pytest on tests/gpu."""
    known = {name: value for name, value in os.environ.items() if not name.startswith("CROSSENT_")}
    path = os.pathsep.join([str(ROOT / "src"), known.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", str(ROOT / "tests" / "gpu"), "-q", "-p", "no:cacheprovider", *words],
        capture_output=True, text=True, timeout=280, cwd=ROOT, env={**known, "PYTHONPATH": path, **environment},
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@pytest.mark.skipif(torch.cuda.is_available(), reason="here is a device: make gpu-test")
def test_without_a_device_nothing_passes() -> None:
    status, output = suite("-k", "graph")
    assert status == 0 and " passed" not in output
    assert "device suite: SKIPPED, no CUDA device here" in output


@pytest.mark.slow  # three processes that collect the whole suite
def test_in_parts_on_the_stand_in(tmp_path: Path) -> None:
    state = {"CROSSENT_GPU_STATE": str(tmp_path / "passed.jsonl")}
    state |= {"CROSSENT_STAND_IN": "cpu", "CROSSENT_GPU_SOURCE": "x"}
    status, output = suite("-k", FEW, CROSSENT_GPU_MINUTES="0.0001", **state)
    assert status == 3, output
    assert "run the same command again" in output
    status, output = suite("-k", FEW, **state)
    assert status == 0, output
    assert "CPU in the place of a device" in output
    count = len((tmp_path / "passed.jsonl").read_text().splitlines())
    assert count > 60
    status, output = suite("-k", FEW, **state)
    assert status in (0, 5) and f"{count} passed" not in output, "what has passed is not run again"
    assert f"{count} tests have passed so far" in output
