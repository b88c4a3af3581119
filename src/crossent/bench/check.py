"""A result held against the promises: met, missed or not measured, always with the figure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from crossent.bench import promises, record
from crossent.bench.cases import COMPILED, EAGER, OURS
from crossent.bench.promises import Promise
from crossent.bench.record import Record

MET, MISSED, ABSENT = "met", "MISSED", "not measured"


class Verdict(NamedTuple):
    """One promise and what came."""

    case: str
    buffer: str
    what: str
    promised: str
    came: str
    verdict: str


def verdicts(found: Record) -> list[Verdict]:
    """All promises, in the order of the table."""
    if found.about.get("device"):
        return list(_of_rows(found, promises.ON_CUDA))
    return [*_of_rows(found, promises.ALL), *_of_memory(found), *_of_start(found)]


def _of_rows(found: Record, every: Iterable[Promise]) -> Iterator[Verdict]:
    for promise in every:
        ours = record.row(found, promise.case, OURS, (promise.buffer,))
        yield from _times(found, promise, ours)
        if promise.engine:
            came = "" if ours is None else ", ".join(ours["served"])
            kept = ours is not None and record.is_engine(ours["served"])
            yield _verdict(promise, "served by", "an engine", came, None if ours is None else kept)


def _times(found: Record, promise: Promise, ours: dict[str, Any] | None) -> Iterator[Verdict]:
    mine = None if ours is None else ours["median_ms"]
    if promise.most_copies is not None:
        value = None if ours is None or mine is None else mine / ours["copy_ms"]
        limit = promise.most_copies
        yield _verdict(
            promise, "time", f"<= {limit:.3g} T", _figure(value, "T"), None if value is None else value <= limit
        )
    for rival, limit in ((EAGER, promise.eager), (COMPILED, promise.compiled)):
        if limit is None:
            continue
        theirs = record.row(found, promise.case, rival, ("fresh", "-"))
        ratio = None if theirs is None or mine is None else theirs["median_ms"] / mine
        kept = None if ratio is None else ratio >= limit
        promised, came = f">= {limit:.3g} x", _figure(ratio, "x") + _on_warm_memory(found, promise, rival, mine)
        if promise.slower_us is not None and rival == EAGER:
            promised += f" or <= {promise.slower_us:g} us slower"
            if theirs is not None and mine is not None:
                slower = (mine - theirs["median_ms"]) * 1e3
                came, kept = f"{came}, {slower:+.1f} us", kept or slower <= promise.slower_us
        yield _verdict(promise, f"against {rival}", promised, came, kept)
    yield from _on_device(found, promise, mine)


def _on_device(found: Record, promise: Promise, mine: float | None) -> Iterator[Verdict]:
    """Peers that were measured are never faster; a time is kept."""
    for label in promise.rivals:
        name, _, place = label.partition(" in place")
        theirs = record.row(found, promise.case, name, ("in place",) if place or label != name else ("fresh",))
        if theirs is not None:
            ratio = None if mine is None else theirs["median_ms"] / mine
            yield _verdict(
                promise, f"against {label}", ">= 1 x", _figure(ratio, "x"), None if ratio is None else ratio >= 1
            )
        elif found.cases.get(promise.case):
            reason = found.cases[promise.case]["left_out"].get(label, "no result")
            yield _verdict(promise, f"against {label}", ">= 1 x", reason, None)
    plans = found.cases.get(promise.case, {}).get("plans", {})
    if "choice" in plans:
        times = {name: row["median_ms"] for name, row in plans.items()}
        ratio, limit = times["choice"] / min(times.values()), promises.NEAR_THE_BEST_PLAN
        yield _verdict(promise, "the plan's choice", f"<= {limit:g} of the best", _figure(ratio, "x"), ratio <= limit)
    if promise.most_ms is not None:
        kept = None if mine is None else mine <= promise.most_ms
        yield _verdict(promise, "milliseconds", f"<= {promise.most_ms:g}", _figure(mine, "ms"), kept)


def _on_warm_memory(found: Record, promise: Promise, rival: str, mine: float | None) -> str:
    theirs = record.row(found, promise.case, rival, ("warm",)) if promise.buffer == "warm" else None
    return "" if theirs is None or mine is None else f" ({theirs['median_ms'] / mine:.2f} x with both on warm memory)"


def _of_memory(found: Record) -> Iterator[Verdict]:
    for name, report in found.cases.items():
        for label, limit in ((OURS, promises.MOST_MEMORY), (f"{OURS} in place", promises.MOST_MEMORY_IN_PLACE)):
            memory = report.get("memory", {}).get(label)
            if memory is None or "left_out" in memory:
                continue
            extra = memory.get("extra_bytes")
            part = None if extra is None else extra / memory["gradient_bytes"]
            buffer = "in place" if label != OURS else "fresh"
            kept = None if part is None else part <= limit
            came = memory.get("failed") or _figure(part, "of the gradient")
            yield Verdict(name, buffer, "extra memory", f"<= {limit:g} of the gradient", came, _word(kept))


def _of_start(found: Record) -> Iterator[Verdict]:
    limits = (("first_call_s", promises.FIRST_CALL_SECONDS), ("cold_compile_s", promises.COLD_COMPILE_SECONDS))
    for name, limit in limits:
        value, processor = found.start.get(name), found.start.get(name.replace("_s", "_cpu_s"))
        came = _figure(value, "s") + ("" if processor is None else f" ({processor:.2g} s of processor time)")
        kept = None if value is None else value < limit
        yield Verdict("start", "", name.removesuffix("_s").replace("_", " "), f"< {limit:g} s", came, _word(kept))


def _verdict(promise: Promise, what: str, promised: str, came: str, kept: bool | None) -> Verdict:
    return Verdict(promise.case, promise.buffer, what, promised, came, _word(kept))


def _word(kept: bool | None) -> str:
    return ABSENT if kept is None else MET if kept else MISSED


def _figure(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:.3g} {unit}"
