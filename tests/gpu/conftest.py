"""The device suite in parts: what has passed is not run again, and no test is begun when the time is up.

``CROSSENT_GPU_STATE=FILE`` keeps the tests that passed, under a key of the device, the versions and the source, so a
pass counts only for what it was a pass of. ``CROSSENT_GPU_MINUTES=7`` begins no test after that; the exit status
is then 3: run the same command again.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))  # place.py is no package's
import place as places

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parent.parent
MORE_LEFT = 3
STATE = os.environ.get("CROSSENT_GPU_STATE", "")
MINUTES = float(os.environ.get("CROSSENT_GPU_MINUTES", "0"))
REASON = places.why_not()
began = time.monotonic()
left = False


@pytest.fixture(scope="session")
def place() -> Any:
    """The device, or what stands in for it."""
    return places.make()


@pytest.fixture(autouse=True)
def _repeatable(place: Any) -> None:
    torch.manual_seed(0)
    torch.set_float32_matmul_precision("highest")


def key() -> str:
    """What a pass is a pass of."""
    source = os.environ.get("CROSSENT_GPU_SOURCE") or _source()
    try:
        import triton

        version = str(triton.__version__)
    except ImportError:
        version = "no triton"
    name = places.make().name if REASON is None else "nothing"
    return f"{name}, torch {torch.__version__}, triton {version}, source {source}"


def _source() -> str:
    content = hashlib.sha256()
    for folder in ("src", "tests"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            content.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    return content.hexdigest()[:16]


def passed() -> set[str]:
    """The tests that have passed under this key."""
    if not STATE or not Path(STATE).exists():
        return set()
    mine, known = key(), set[str]()
    for line in Path(STATE).read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        if record["key"] == mine:
            known.update(record["passed"])
    return known


def _is_ours(item: pytest.Item) -> bool:
    return FOLDER in Path(str(item.path)).parents


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Every test of this folder is marked gpu, and skipped with the reason where it cannot run; passed ones go."""
    known = passed() if REASON is None else set[str]()
    for item in items:
        if _is_ours(item):
            item.add_marker(pytest.mark.gpu)
            if REASON is not None:
                item.add_marker(pytest.mark.skip(reason=REASON))
    done = [item for item in items if _is_ours(item) and item.nodeid in known]
    if done:
        config.hook.pytest_deselected(items=done)
        items[:] = [item for item in items if item.nodeid not in known]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Begin nothing when the time is up."""
    global left
    if MINUTES and _is_ours(item) and time.monotonic() - began > MINUTES * 60:
        left = True
        item.session.shouldstop = "the time of this part is up: run the same command again"
        return True
    return None


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """One line per test that passed; lines are short, so several processes may write them."""
    if STATE and report.when == "call" and report.passed and not hasattr(report, "wasxfail"):
        Path(STATE).parent.mkdir(parents=True, exist_ok=True)
        with open(STATE, "a", encoding="utf-8") as file:
            file.write(json.dumps({"key": _key(), "passed": [report.nodeid]}) + "\n")


_known_key = ""


def _key() -> str:
    global _known_key
    _known_key = _known_key or key()
    return _known_key


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if left and not session.testsfailed:
        session.exitstatus = MORE_LEFT


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """On what it ran, so that no stand-in is taken for a device."""
    if REASON is not None:
        terminalreporter.write_line(f"device suite: SKIPPED, {REASON}")
    else:
        terminalreporter.write_line(f"device suite: {_key()}")
        if STATE:
            terminalreporter.write_line(f"device suite: {len(passed())} tests have passed so far, kept in {STATE}")
