"""Times in turns: every provider once per round, each round beginning with another one.

What slows the machine down for a moment then slows everybody down, and nobody always finds the caches as the same
neighbour left them. Of each provider the median over the rounds counts; the quartiles say how quiet the machine was.
Calls that are shorter than a millisecond are repeated within a round, and their mean is the round's figure.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

ROUNDS = 7  # at least
MOST_ROUNDS = 31
SHORT_SECONDS, MOST_REPEATS = 1e-3, 50


Clock = Callable[[Callable[[], object]], float]  # seconds of one call


class Timed(NamedTuple):
    """What takes part: ``prepare`` is not timed."""

    label: str
    prepare: Callable[[], object]
    run: Callable[[], object]


@dataclass(slots=True)
class Times:
    """Of one participant: seconds per call, and page faults per call (new memory has some, warm memory none)."""

    seconds: list[float] = field(default_factory=list[float])
    faults: list[float] = field(default_factory=list[float])

    def summary(self) -> dict[str, Any]:
        """Median and quartiles in milliseconds."""
        low, median, high = quartiles(self.seconds)
        return {
            "median_ms": median * 1e3,
            "quartiles_ms": [low * 1e3, high * 1e3],
            "least_ms": min(self.seconds) * 1e3,
            "rounds": len(self.seconds),
            "page_faults": statistics.median(self.faults),
        }


def quartiles(values: list[float]) -> tuple[float, float, float]:
    """Lower quartile, median, upper quartile."""
    if len(values) < 2:
        return values[0], values[0], values[0]
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, median, high


def in_turns(
    participants: list[Timed],
    *,
    seconds: float,
    rounds: int = ROUNDS,
    after_round: Callable[[int, int], None],
    clock: Clock | None = None,
) -> dict[str, Times]:
    """Times by label: at least ``rounds`` rounds, more as long as they fit into ``seconds``."""
    gc.collect()
    clock = by_the_wall if clock is None else clock
    one = {each.label: _once(each, clock) for each in participants}  # also the last warm-up
    repeats = {label: _repeats(known) for label, known in one.items()}
    round_seconds = sum(one[label] * repeats[label] for label in one)
    planned = min(MOST_ROUNDS, max(rounds, int(seconds / max(round_seconds, 1e-6))))
    times = {each.label: Times() for each in participants}
    for done in range(planned):
        shift = done % len(participants)
        for each in participants[shift:] + participants[:shift]:
            _sample(each, repeats[each.label], times[each.label], clock)
        after_round(done + 1, planned)
    return times


def _repeats(seconds: float) -> int:
    return max(1, min(MOST_REPEATS, int(SHORT_SECONDS / max(seconds, 1e-9))))


def by_the_wall(run: Callable[[], object]) -> float:
    """Seconds that a call took."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def _once(each: Timed, clock: Clock) -> float:
    each.prepare()
    return clock(each.run)


def _sample(each: Timed, repeats: int, times: Times, clock: Clock) -> None:
    faults = page_faults()
    prepared_faults = 0
    total = 0.0
    for _ in range(repeats):
        before = page_faults()
        each.prepare()
        prepared_faults += page_faults() - before
        total += clock(each.run)
    times.seconds.append(total / repeats)
    times.faults.append((page_faults() - faults - prepared_faults) / repeats)


def page_faults() -> int:
    """Pages that this process has touched for the first time so far; 0 where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
