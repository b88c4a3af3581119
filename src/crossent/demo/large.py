"""Forward and backward of one loss at a vocabulary's size: how long, and how much memory beyond the logits.

Each measurement has a process of its own, so that no allocator, cache or compiled kernel of one serves the
other; torch and crossent take turns, so that a busy machine slows both. ``python -m crossent.demo.large``
is that process: it prints one line of JSON.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from crossent import peak_memory

REPEATS = 3  # timed calls per process, after the one whose memory is taken
WARM_ROWS = 64  # compiles the kernel on the very number of classes, with logits too many for a small call
SECONDS_AT_MOST = 180  # for one process
SECONDS_IN_ALL = 35  # no further round is begun that would end later


@dataclass
class Measured:
    """What the processes of one provider said."""

    provider: str
    milliseconds: list[float] = field(default_factory=list[float])
    extra_bytes: list[int] = field(default_factory=list[int])
    loss: float = float("nan")
    served: str = ""
    failure: str = ""

    @property
    def median_ms(self) -> float:
        return statistics.median(self.milliseconds)

    @property
    def median_bytes(self) -> float | None:
        """None where the system does not tell a process its peak."""
        return statistics.median(self.extra_bytes) if self.extra_bytes else None

    def add(self, said: dict[str, Any]) -> None:
        self.milliseconds += said["milliseconds"]
        self.extra_bytes += [] if said["extra_bytes"] is None else [said["extra_bytes"]]
        self.loss, self.served = said["loss"], said["served"]


def compare(rows: int, classes: int, rounds: int, after_process: Callable[[], None]) -> tuple[Measured, Measured]:
    """torch and crossent in turns, ``rounds`` processes each; fewer on a machine where that takes too long."""
    both = Measured("torch"), Measured("crossent")
    began = time.perf_counter()
    for done in range(1, rounds + 1):
        for measured in both:
            _run_process(measured, rows, classes)
            after_process()
        per_round = (time.perf_counter() - began) / done
        if any(measured.failure for measured in both) or (done + 1) * per_round > SECONDS_IN_ALL:
            break
    return both


def _run_process(measured: Measured, rows: int, classes: int) -> None:
    command = [sys.executable, "-m", __name__, measured.provider, str(rows), str(classes)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_AT_MOST)
    except subprocess.TimeoutExpired:
        measured.failure = f"{measured.provider} took more than {SECONDS_AT_MOST} s"
        return
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        measured.failure = f"{measured.provider} ended with status {done.returncode}: {last}"
        return
    measured.add(json.loads(done.stdout.splitlines()[-1]))


def measure(provider: str, rows: int, classes: int) -> dict[str, Any]:
    """In the process of its own: one call for the memory, then calls for the time."""
    import torch

    served: list[str] = []
    loss_function = _loss_function(provider, served)
    torch.manual_seed(0)
    _forward_backward(loss_function, torch.randn(WARM_ROWS, classes, requires_grad=True))
    logits = torch.randn(rows, classes, requires_grad=True)
    losses: list[float] = []
    extra = peak_memory.extra_bytes(lambda: losses.append(_forward_backward(loss_function, logits)))
    times: list[float] = []
    for _ in range(REPEATS):
        logits.grad = None
        began = time.perf_counter()
        _forward_backward(loss_function, logits)
        times.append((time.perf_counter() - began) * 1e3)
    return {"milliseconds": times, "extra_bytes": extra, "loss": losses[0], "served": served[-1] if served else "torch"}


def _loss_function(provider: str, served: list[str]) -> Any:
    if provider == "torch":
        import torch.nn.functional as F

        return F.cross_entropy
    import crossent
    from crossent import handover

    handover.add_listener(lambda call: served.append(call.by + (f" ({call.reason})" if call.reason else "")))
    return crossent.cross_entropy


def _forward_backward(loss_function: Any, logits: Any) -> float:
    import torch

    loss = loss_function(logits, torch.arange(len(logits)) % logits.shape[1])
    loss.backward()
    return float(loss.detach())


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
