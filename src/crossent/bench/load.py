"""How much of the processor went to others while something was timed.

It matters who is disturbed: a loop shared by OpenMP waits at its end for the slowest thread, so torch loses far more
than its share on a busy machine, and a ratio taken there flatters crossent. So the share is recorded with every case,
and a result says which of its cases were disturbed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

QUIET = 0.10  # of all cores: above it a case counts as disturbed


class Usage(NamedTuple):
    """Clock ticks since the start: of the whole machine, of its idle time, of this process."""

    total: int
    idle: int
    own: int

    @staticmethod
    def now() -> Usage | None:
        """None where the system does not say."""
        try:
            words = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]
            spent = os.times()
            ticks = os.sysconf("SC_CLK_TCK")
        except (OSError, AttributeError, ValueError):
            return None
        numbers = list(map(int, words))
        return Usage(sum(numbers), numbers[3] + numbers[4], int((spent.user + spent.system) * ticks))


def share_of_others(before: Usage | None, after: Usage | None) -> float | None:
    """Between two moments, 0 to 1 of all cores; steal of a hypervisor counts as others."""
    if before is None or after is None or after.total <= before.total:
        return None
    busy = (after.total - before.total) - (after.idle - before.idle) - (after.own - before.own)
    return round(min(1.0, max(0.0, busy / (after.total - before.total))), 3)
