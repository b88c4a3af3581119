"""What watching costs: ``python tests/doctor/overhead.py``. Not a test: times on a busy machine say little.

Per step, the medians of watched and of plain training are compared over alternating blocks of steps.
"""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from crossent import doctor
from crossent.demo import training


def seconds(function: Callable[[], Any], repeats: int) -> list[float]:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return times


def watched_call(rows: int, classes: int, calls: int = 12) -> float:
    """Milliseconds that looking at one call takes (the loss itself is not counted)."""
    logits = torch.randn(rows, classes).requires_grad_() + 0.0
    target = torch.randint(0, classes, (rows,))
    loss = torch.tensor(11.0, requires_grad=True)
    with doctor.watch(announce=None) as watching:
        one = seconds(lambda: watching.call("cross_entropy", lambda *_, **__: loss, (logits, target), {}), calls)
    return 1e3 * statistics.median(one[2:])


def step_of(model: nn.Module, x: torch.Tensor, y: torch.Tensor, classes: int) -> Callable[[], None]:
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(x).reshape(-1, classes), y.reshape(-1)).backward()
        optimizer.step()

    return step


def digits_step() -> Callable[[], None]:
    """A step of ``crossent demo``."""
    pixels, labels = torch.rand(training.BATCH_ROWS, 64), torch.randint(0, 10, (training.BATCH_ROWS,))
    model = training.new_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=training.LEARNING_RATE, momentum=0.9)

    def step() -> None:
        loss = F.cross_entropy(model(pixels), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()

    return step


def per_step(step: Callable[[], None], steps: int, pairs: int) -> tuple[float, float, float]:
    """(plain ms, more ms of a step that is not watched, more ms of all watched ones together), medians over pairs of
    neighbouring blocks, whose order alternates."""
    plain: list[float] = []
    more: list[float] = []
    watched: list[float] = []
    seconds(step, 20)
    for number in range(pairs):
        medians = {}
        for is_watching in (True, False) if number % 2 else (False, True):
            with doctor.watch(announce=None, steps=0, every=0) if is_watching else contextlib.nullcontext():
                medians[is_watching] = statistics.median(seconds(step, steps))
        plain.append(medians[False])
        more.append(medians[True] - medians[False])
        with doctor.watch(announce=None, steps=3, every=0):
            watched.append(sum(seconds(step, 3)) - 3 * medians[False])
    return tuple(1e3 * statistics.median(times) for times in (plain, more, watched))  # type: ignore[return-value]


class Language(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.mix, self.head = nn.Embedding(512, 64), nn.GRU(64, 64, batch_first=True), nn.Linear(64, 512)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(self.mix(self.embed(ids))[0])


def main() -> None:
    torch.set_num_threads(1)  # two threads on a shared machine measure the other users
    start = time.perf_counter()
    with doctor.watch(announce=None):
        F.cross_entropy(torch.zeros(32, 10), torch.zeros(32, dtype=torch.long))
    print(f"start-up (import of the doctor and its rules, first call): {time.perf_counter() - start:.3f} s")
    for rows, classes in ((32, 10), (256, 1000), (4096, 50257)):
        print(f"a watched call at {rows} x {classes}: {watched_call(rows, classes):.2f} ms")
    ids = torch.randint(0, 512, (8, 65))
    examples = {
        "digits": (digits_step(), 150, 40, 580),
        "language model": (step_of(Language(), ids[:, :-1], ids[:, 1:], 512), 5, 100, 580),
    }
    for name, (step, steps, pairs, run) in examples.items():
        plain, more, watched = per_step(step, steps, pairs)
        share = (more + watched / run) / plain
        print(
            f"{name}: plain {plain:.3f} ms per step, not watched {more:+.4f} ms, 3 watched steps {watched:+.2f} ms "
            f"together; over {run} steps {share:+.1%} per step"
        )


if __name__ == "__main__":
    main()
