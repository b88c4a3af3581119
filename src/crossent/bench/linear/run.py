"""One process per part of a case and per measurement of memory; every part goes into the file at once.

The parts of a case are asked for, and taken up again, one by one: the times need a machine with nobody else on it, the
memory does not.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from crossent.bench import about
from crossent.bench.linear import providers
from crossent.bench.linear.cases import Case
from crossent.bench.record import Record

SECONDS_AT_MOST = 600
ROWS, PLANS, MEMORY = "rows", "plans", "memory"  # parts: times and errors of all providers, of all plans, peak memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How to measure."""

    threads: int
    seconds: float
    rounds: int
    memory: bool
    plans: bool
    again: bool = False
    minutes: float | None = None


def left(record: Record, cases: list[Case], plan: Plan) -> list[tuple[Case, str]]:
    """The parts that are still to be measured."""
    parts = [ROWS, *([PLANS] if plan.plans else []), *([MEMORY] if plan.memory else [])]
    known = record.cases
    return [(case, part) for case in cases for part in parts if plan.again or part not in known.get(case.name, {})]


def measure(record: Record, cases: list[Case], plan: Plan) -> Iterator[tuple[Case, str]]:
    """One part of a case per step; saved before it is yielded."""
    began = time.monotonic()
    for case, part in left(record, cases, plan):
        if plan.minutes is not None and time.monotonic() - began > plan.minutes * 60:
            return
        report = record.cases.setdefault(
            case.name, {"logits_bytes": case.logits_bytes, "operations": case.operations, "measured": {}}
        )
        report |= one(case, part, plan, report)
        record.save()
        yield case, part


def one(case: Case, part: str, plan: Plan, known: dict[str, Any]) -> dict[str, Any]:
    """What one part adds to the report that is ``known``."""
    task: dict[str, Any] = {
        "case": case.name, "threads": plan.threads, "seconds": plan.seconds, "rounds": plan.rounds,
    }  # fmt: skip
    moment = about.moment()
    if part == MEMORY:
        names = [name for name in known.get(ROWS, ()) if name not in (providers.PRODUCTS, providers.ONE_PRODUCT)]
        found: dict[str, Any] = {MEMORY: {name: process(MEMORY, {**task, "provider": name}) for name in names}}
    else:
        found = process(part, task)
        moment["others_cpu"] = found.pop("others_cpu", None)
    failed = {**known.get("failed", {}), **found.get("failed", {})}
    return {part: {}, **found, "failed": failed, "measured": {**known["measured"], part: moment}}


def process(what: str, task: dict[str, Any]) -> dict[str, Any]:
    """The answer of a child, or ``failed``."""
    command = [sys.executable, "-m", "crossent.bench.linear.child", what]
    try:
        done = subprocess.run(command, input=json.dumps(task), capture_output=True, text=True, timeout=SECONDS_AT_MOST)
    except subprocess.TimeoutExpired:
        return {"failed": {what: f"took more than {SECONDS_AT_MOST} s"}}
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"ended with status {done.returncode}"])[-1]
        return {"failed": {what: last}}
    return json.loads(done.stdout.strip().splitlines()[-1])
