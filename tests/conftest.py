"""What every test starts from: the same random numbers, and at most two threads."""

from __future__ import annotations

import os
import sys
import warnings

import pytest
import torch

from crossent import dispatch

torch.set_num_threads(min(2, os.cpu_count() or 1))  # results and times do not depend on the size of the machine


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") and not torch.cuda.is_available() and not os.environ.get("CROSSENT_STAND_IN"):
        pytest.skip("needs a CUDA device")


@pytest.fixture(scope="session", autouse=True)
def _missing_engine_is_known() -> None:
    """Without Numba the library warns once per process that the reference serves; here warnings are errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dispatch.choose(None, torch.device("cpu"), torch.float32)


@pytest.fixture
def no_small_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """backend=None chooses as for large calls; small ones go to torch, and a test would compare torch with torch."""
    monkeypatch.setattr("crossent.small.LIMIT_ELEMENTS", -1)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many of torch's own samples passed, if test_torch_samples.py ran."""
    samples = sys.modules.get("torch_samples")
    for line in samples.report() if samples else []:
        terminalreporter.write_line(line)
