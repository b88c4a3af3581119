"""How often each loss was called, with which shape, and who served it.

One :class:`Counts` per process listens to ``crossent.handover``. Child processes write theirs to a
file (``children.py``), and the process that was started first adds them up.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple


class Call(NamedTuple):
    """What is counted: ``crossent.handover.Served`` with plain values, so that it can go through JSON."""

    function: str
    shape: tuple[int, ...]
    dtype: str
    by: str
    reason: str | None


class Counts:
    """A counter of calls that threads may share."""

    def __init__(self, after_call: Callable[[], None] | None = None) -> None:
        self.calls: Counter[Call] = Counter()
        self.after_call = after_call
        self._lock = threading.Lock()

    def __call__(self, served: Any) -> None:
        """The listener of ``crossent.handover``."""
        call = Call(served.function, served.shape, str(served.dtype).removeprefix("torch."), served.by, served.reason)
        with self._lock:
            self.calls[call] += 1
        if self.after_call is not None:
            self.after_call()

    def add(self, rows: list[dict[str, Any]]) -> None:
        """Add what :meth:`rows` of another process said."""
        for row in rows:
            call = Call(row["function"], tuple(row["shape"]), row["dtype"], row["by"], row["reason"])
            self.calls[call] += row["calls"]

    def rows(self) -> list[dict[str, Any]]:
        """One row per kind of call, the most frequent first; plain values."""
        return [{**call._asdict(), "shape": list(call.shape), "calls": n} for call, n in self._snapshot().most_common()]

    def by(self, *fields: str) -> Counter[tuple[Any, ...]]:
        """The calls summed over all fields but these."""
        sums: Counter[tuple[Any, ...]] = Counter()
        for call, n in self._snapshot().items():
            sums[tuple(getattr(call, field) for field in fields)] += n
        return sums

    def total(self) -> int:
        return sum(self._snapshot().values())

    def _snapshot(self) -> Counter[Call]:
        with self._lock:
            return Counter(self.calls)

    def restart_after_fork(self) -> None:
        """A forked child counts from zero, with a lock that no vanished thread holds."""
        self._lock = threading.Lock()
        self.calls = Counter()
