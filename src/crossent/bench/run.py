"""One process per case after the other; every result goes into the file at once."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from crossent.bench import about
from crossent.bench.cases import BOTH, COMPILED, CPU, EAGER, IN_PLACE, OURS, PLAIN, Case
from crossent.bench.load import QUIET
from crossent.bench.record import Record

SECONDS_AT_MOST = 420  # for one process: torch.compile may be slow, nothing else is
# Memory is measured in processes of their own, of these; torch's only where no option is set.
REMEMBERED = (EAGER, COMPILED, OURS, f"{OURS} {IN_PLACE}")
Event = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How to measure."""

    threads: int
    providers: tuple[str, ...]
    seconds: float  # of timing per phase of a case; at least ``rounds`` rounds in any case
    rounds: int
    memory: bool
    again: bool = False  # measure what has been measured
    redo_busy: bool = False  # measure again what was measured while others used the processor
    minutes: float | None = None  # begin no case after that


def left(record: Record, cases: Sequence[Case], plan: Plan) -> list[Case]:
    """The cases that are still to be measured."""
    return [
        case
        for case in cases
        if plan.again or case.name not in record.cases or (plan.redo_busy and was_busy(record.cases[case.name]))
    ]


def was_busy(report: dict[str, Any]) -> bool:
    """Whether others used the processor while the case was timed."""
    return any((share or 0) > QUIET for share in report.get("others_cpu", {}).values())


def measure(record: Record, cases: Sequence[Case], plan: Plan, on_event: Event) -> Iterator[Case]:
    """Measure what is left, one case per step; saved before it is yielded."""
    began = time.monotonic()
    for case in left(record, cases, plan):
        if plan.minutes is not None and time.monotonic() - began > plan.minutes * 60:
            return
        record.cases[case.name] = one(case, plan, on_event)
        record.save()
        yield case


def one(case: Case, plan: Plan, on_event: Event) -> dict[str, Any]:
    """The report of one case: times, and peak memory per provider."""
    task = {"case": case.name, "threads": plan.threads, "seconds": plan.seconds, "rounds": plan.rounds}
    report: dict[str, Any] = {**about.moment(), "moved_bytes": case.moved_bytes, "logits_bytes": case.logits_bytes}
    try:
        report |= process("time", {**task, "providers": plan.providers}, on_event)
    except ProcessFailed as failure:
        return {**report, "case": case.name, "rows": [], "left_out": {}, "failed": {"the process": str(failure)}}
    if case.features:
        report["operations"] = case.operations
    if plan.memory and case.device == CPU and case.mode == BOTH and not case.is_small:
        report["memory"] = {label: _memory(case, label, task, on_event) for label in _remembered(case, plan)}
    return {**report, "load_after": about.load_average()}


def _remembered(case: Case, plan: Plan) -> list[str]:
    wanted = [label for label in REMEMBERED if label in plan.providers]
    return wanted if case.setting == PLAIN else [label for label in wanted if label.startswith(OURS)]


def _memory(case: Case, label: str, task: dict[str, Any], on_event: Event) -> dict[str, Any]:
    try:
        return process("memory", {**task, "provider": label}, on_event)
    except ProcessFailed as failure:
        return {"failed": str(failure)}


class ProcessFailed(Exception):
    """A child ended without a result; the last line of what it said."""


def process(what: str, task: dict[str, Any], on_event: Event) -> dict[str, Any]:
    """The result of ``crossent.bench.child what``."""
    command = [sys.executable, "-m", "crossent.bench.child", what]
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as child:
            watch = threading.Timer(SECONDS_AT_MOST, child.kill)
            watch.start()
            try:
                result = _listen(child, task, on_event)
            finally:
                watch.cancel()
                child.kill()
        if result is None:
            errors.seek(0)
            raise ProcessFailed((errors.read().strip().splitlines() or [f"ended with status {child.returncode}"])[-1])
        return result


def _listen(child: subprocess.Popen[str], task: dict[str, Any], on_event: Event) -> dict[str, Any] | None:
    assert child.stdin and child.stdout
    child.stdin.write(json.dumps(task))
    child.stdin.close()
    for line in child.stdout:
        if not line.startswith('{"event"'):  # something that a library printed
            continue
        event = json.loads(line)
        if event["event"] == "result":
            return event["result"]
        on_event(event)
    return None
