"""The GPU engine's kernels under Triton's interpreter: a few cases here, all of them in ``make gpu-interpret``.

Triton decides when it is imported whether it interprets, so that is a process of its own.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CHOSEN = "gpu and f32 and (option-z_loss-mean or option-probabilities-sum or option-softcap-none or all-ignored-nan)"


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed (Linux only)")
def test_a_few_cases_of_the_gpu_engine() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow", "-k", CHOSEN]
    done = subprocess.run(
        [*command, str(HERE / "test_conformance.py")],
        env={**os.environ, "TRITON_INTERPRET": "1"}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None and int(passed[1]) >= 4, done.stdout[-500:]
