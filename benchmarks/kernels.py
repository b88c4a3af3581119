"""The CPU kernels alone, in units of T, the time of a warm copy of the logits by torch on the same threads.

    python benchmarks/kernels.py [--rounds 9] [case ...]

Forward and backward is ``count_rows`` and ``row_loss_and_grad``. "fresh" writes into memory the system
gives out for this call, "again" into what the last call's result left (an ordinary training step),
"warm" into one buffer, "in place" over the logits. All columns of
a case are taken in turn, round after round; a cell is a median. Milliseconds of a busy machine mean little,
ratios of one run do.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from crossent.backends import cpu
from crossent.backends.cpu import memory
from crossent.backends.protocol import RowProblem

SHAPES = {
    "65536x10": (65536, 10, 1),
    "16384x1000": (16384, 1000, 1),
    "2048x32000": (2048, 32000, 1),
    "2048x128256": (2048, 128256, 1),
    "seg21": (8, 21, 512 * 512),
    "seg150": (8, 150, 512 * 512),
}
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
OPTIONS = ("plain", "weights+smoothing+skip", "softcap+scale", "z_loss", "probabilities")


def problem(logits: Tensor, option: str) -> RowProblem:
    """A row problem of one of OPTIONS."""
    outer, classes, inner = logits.shape
    target = torch.randint(0, classes, (outer, inner))
    given: dict = {"class_weight": None, "on": 1.0, "off": 0.0}
    if option == "weights+smoothing+skip":
        given = {"class_weight": torch.rand(classes) + 0.5, "on": 0.9, "off": 0.1 / classes}
        target[torch.rand(outer, inner) < 0.1] = -100
    elif option == "softcap+scale":
        given |= {"softcap": 30.0, "logit_scale": 0.7}
    elif option == "z_loss":
        given |= {"z_loss": 1e-4}
    elif option == "probabilities":
        target = torch.rand(logits.shape).to(logits.dtype)
    skip = None if target.is_floating_point() else -100
    return RowProblem(logits=logits, target=target, skip=skip, **given)


def forward_backward(rows: RowProblem, out: Tensor) -> None:
    cpu.count_rows(rows, None)
    cpu.row_loss_and_grad(rows, torch.tensor(1.0 / rows.logits.shape[0]), None, out)


def columns(logits: Tensor, option: str) -> dict[str, Callable[[], None]]:
    """What is timed for one case; "T" is the copy."""
    rows, warm = problem(logits, option), torch.empty_like(logits)

    def empty() -> Tensor:
        return cpu.empty(tuple(logits.shape), logits.dtype, logits.device)

    forward_backward(rows, warm)
    found: dict[str, Callable[[], None]] = {
        "T": lambda: warm.copy_(logits),
        "fresh": lambda: (memory.forget(), forward_backward(rows, empty()))[1],
        "again": lambda: forward_backward(rows, empty()),
        "warm": lambda: forward_backward(rows, warm),
    }
    if option == "plain":
        found["in place"] = lambda: forward_backward(in_place, in_place.logits)
        found["forward"] = lambda: cpu.row_stats(rows)
        in_place = problem(logits.clone(), option)
    return found


def measure(work: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """Median seconds of each, taken in turn."""
    times: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds):
        for name, call in work.items():
            began = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", help="part of a case's name; all cases otherwise")
    parser.add_argument("--rounds", type=int, default=9)
    asked = parser.parse_args()
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}; multiples of T")
    for shape_name, shape in SHAPES.items():
        for dtype_name, dtype in DTYPES.items():
            for option in OPTIONS:
                name = f"{shape_name} {dtype_name} {option}"
                if asked.cases and not any(part in name for part in asked.cases):
                    continue
                logits = torch.randn(shape).to(dtype)
                found = measure(columns(logits, option), asked.rounds)
                copy = found.pop("T")
                cells = (f"{key} {value * 1e3:.1f} ms = {value / copy:.2f} T" for key, value in found.items())
                print(f"{name:42} T {copy * 1e3:6.1f} ms | " + " | ".join(cells), flush=True)


if __name__ == "__main__":
    main()
