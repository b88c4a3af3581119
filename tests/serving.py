"""Who served a call: so that no test compares torch with torch, or a backend with itself.

``with serving() as calls`` records every loss call; ``BACKENDS`` parametrises a test over the explicit
backends and None (the library chooses), skipping an engine that cannot run here with its reason.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

import crossent
from crossent import dispatch, handover

CPU = torch.device("cpu")
EXPLICIT = ("reference", "cpu")


def _parameter(name: str | None) -> Any:
    reason = None if name is None else dispatch.reason_against(name, CPU, torch.float32)
    marks = [] if reason is None else [pytest.mark.skip(reason=f"backend {name!r}: {reason}")]
    return pytest.param(name, id=str(name), marks=marks)


BACKENDS = [_parameter(name) for name in (*EXPLICIT, None)]


def expected_server(backend: str | None, dtype: torch.dtype = torch.float32) -> str:
    """Who must serve a plain call on the CPU."""
    if backend is not None:
        return backend
    return "cpu" if dispatch.reason_against("cpu", CPU, dtype) is None else "reference"


@contextmanager
def serving() -> Iterator[list[handover.Served]]:
    """The list of the calls that are served inside."""
    calls: list[handover.Served] = []
    record = calls.append
    handover.add_listener(record)
    try:
        yield calls
    finally:
        handover.remove_listener(record)


def served_by(by: str, function: Callable[[], Any], *, times: int = 1, reason: str | None = None) -> Any:
    """What ``function`` returns; asserts that its ``times`` loss calls were served by ``by`` (for ``reason``)."""
    with serving() as calls:
        answer = function()
    assert [call.by for call in calls] == [by] * times, calls
    if reason is not None:
        assert all(reason in (call.reason or "") for call in calls), calls
    return answer


def first_line(exception: BaseException) -> str:
    """torch's own words: what stands above crossent's lines."""
    return str(exception).split("\n  crossent XEN")[0]


def outcome(function: Callable[[], Any]) -> Any:
    """The result, or the exception that was raised."""
    try:
        return function()
    except Exception as exception:
        return exception


def in_fresh_process(code: str, *, crossent_importable: bool = True, arguments: tuple[str, ...] = ()) -> str:
    """Standard output of ``code`` in a new interpreter, with or without a crossent that can be imported."""
    source = Path(crossent.__file__ or "").parents[1]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(source), os.environ.get("PYTHONPATH", "")])}
    if not crossent_importable:  # None in sys.modules makes an import of it fail, wherever it is installed
        code = "import sys\nsys.modules['crossent'] = None\n" + code
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
