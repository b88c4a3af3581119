"""One process per case and per measurement of memory; every result goes into the file at once."""

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


def left(record: Record, cases: list[Case], plan: Plan) -> list[Case]:
    """What is still to be measured."""
    return [case for case in cases if plan.again or case.name not in record.cases]


def measure(record: Record, cases: list[Case], plan: Plan) -> Iterator[Case]:
    """One case per step; saved before it is yielded."""
    began = time.monotonic()
    for case in left(record, cases, plan):
        if plan.minutes is not None and time.monotonic() - began > plan.minutes * 60:
            return
        record.cases[case.name] = one(case, plan)
        record.save()
        yield case


def one(case: Case, plan: Plan) -> dict[str, Any]:
    """The report of one case."""
    task: dict[str, Any] = {
        "case": case.name, "threads": plan.threads, "seconds": plan.seconds, "rounds": plan.rounds,
        "plans": plan.plans,
    }  # fmt: skip
    report: dict[str, Any] = {**about.moment(), "logits_bytes": case.logits_bytes, "operations": case.operations}
    report |= process("time", task)
    if plan.memory and "rows" in report:
        names = [name for name in report["rows"] if name not in (providers.PRODUCTS, providers.ONE_PRODUCT)]
        report["memory"] = {name: process("memory", {**task, "provider": name}) for name in names}
    return report


def process(what: str, task: dict[str, Any]) -> dict[str, Any]:
    """The answer of a child, or ``failed``."""
    command = [sys.executable, "-m", "crossent.bench.linear.child", what]
    try:
        done = subprocess.run(command, input=json.dumps(task), capture_output=True, text=True, timeout=SECONDS_AT_MOST)
    except subprocess.TimeoutExpired:
        return {"failed": {"the process": f"took more than {SECONDS_AT_MOST} s"}}
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"ended with status {done.returncode}"])[-1]
        return {"failed": {"the process": last}}
    return json.loads(done.stdout.strip().splitlines()[-1])
