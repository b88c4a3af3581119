"""What the CPU engine has promised, as data. ``check.py`` holds a result against it.

Times are in T, the warm copy of the logits in the same run; the other limits are ratios to a competitor's time in that
run. A row is named by the buffer that the gradient goes to. torch writes no gradient in place and keeps no memory by
itself, so warm and in-place rows are held against torch as it runs by default (fresh); the ratio to torch on warm
memory is printed beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from crossent.bench.cases import BOTH, CUDA, FRESH, IN_PLACE, NO_BUFFER, SETTINGS, WARM, device_table


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """One row of the table. None: nothing promised."""

    case: str
    buffer: str = FRESH
    most_copies: float | None = None  # time in T, at most
    eager: float | None = None  # torch eager's time / ours, at least
    compiled: float | None = None  # torch.compile's time / ours, at least
    slower_us: float | None = None  # ... or at most so much slower than torch eager
    engine: bool = True  # an engine must have served it
    rivals: tuple[str, ...] = ()  # labels of peers: never slower than those that were measured
    most_ms: float | None = None


def _of_both(dtype: str) -> list[Promise]:
    """2048 x 32000 and 2048 x 128256."""
    found: list[Promise] = []
    for shape in ("2048x32000", "2048x128256"):
        case = f"{shape}/{dtype}/both"
        if dtype == "bf16":
            found.append(Promise(case=case, most_copies=2.8, eager=6, compiled=3.8))
            continue
        found += [
            Promise(case=case, most_copies=1.9, eager=8, compiled=4),
            Promise(case=case, buffer=WARM, most_copies=1.25, eager=12, compiled=4),
            Promise(case=case, buffer=IN_PLACE, most_copies=1.0, eager=15, compiled=4),
        ]
    return found


PLAIN = (
    Promise(case="16384x1000/fp32/both", most_copies=2.2, eager=8, compiled=4),
    *_of_both("fp32"),
    *_of_both("bf16"),
    Promise(case="8x150x512x512/fp32/both", most_copies=2.4, eager=8, compiled=4),
    Promise(case="8x21x512x512/fp32/both", most_copies=2.2, eager=13, compiled=6),
    Promise(case="65536x10/fp32/both", eager=6, compiled=1),
    Promise(case="2048x32000/fp32/forward", buffer=NO_BUFFER, most_copies=0.8, eager=6.5, compiled=2),
    *(
        Promise(case=f"{shape}/fp32/both", eager=0.9, slower_us=4, engine=False)
        for shape in ("1x10", "32x10", "128x100")
    ),
    Promise(case="128x1000/fp32/both", eager=0.95, engine=False),
)

WITH_OPTIONS = 0.8  # every ratio holds to this part of itself
WITH_UPSTREAM = 0.6  # with an upstream gradient other than 1
OPTION_SHAPES = ("16384x1000/", "2048x32000/")


def _with_options() -> list[Promise]:
    found: list[Promise] = []
    for promise in PLAIN:
        if promise.case.startswith(OPTION_SHAPES) and promise.case.endswith("/both"):
            for setting in SETTINGS:
                if setting.reduction == "none" and promise.buffer == IN_PLACE:
                    continue  # in place the gradient is made before the rows' upstream gradients are known
                part = WITH_UPSTREAM if setting.upstream is not None else WITH_OPTIONS
                found.append(_weakened(promise, f"{promise.case}/{setting.name}", part))
    return found


def _weakened(promise: Promise, case: str, part: float) -> Promise:
    return replace(
        promise,
        case=case,
        most_copies=promise.most_copies and promise.most_copies / part,
        eager=promise.eager and promise.eager * part,
        compiled=promise.compiled and promise.compiled * part,
    )


ALL = (*PLAIN, *_with_options())

PEERS = ("liger-kernel in place", "quack")
LINEAR_PEERS = ("torch chunked", "liger-kernel linear", "quack linear", "cut-cross-entropy")
UP_TO = 65536  # classes: bf16 rows that one program keeps on chip; above it 85% of the copy is aimed at, not promised


OF_IGNORED = 0.3  # of the bare products of all rows, where 80% of the rows are ignored and the caller says so


def _on_cuda() -> list[Promise]:
    """What the GPU engine is to show (T: the copy of the logits; of a linear head its bare products)."""
    found: list[Promise] = []
    for case in device_table(CUDA):
        if case.mode != BOTH:
            continue
        if case.setting.ignored:
            found.append(Promise(case=case.name, most_copies=OF_IGNORED, rivals=LINEAR_PEERS))
        elif case.features:
            most_ms = 18.0 if case.shape == (4096, 128256) else None
            found.append(Promise(case=case.name, most_copies=1.12, rivals=LINEAR_PEERS, most_ms=most_ms))
        else:
            near = case.dtype == "bf16" and case.shape[1] <= UP_TO
            found.append(Promise(case=case.name, most_copies=1 / 0.85 if near else None, compiled=1.0, rivals=PEERS))
    return found


ON_CUDA = tuple(_on_cuda())

NEAR_THE_BEST_PLAN = 1.10  # times the best plan's time, at most
MOST_MEMORY = 1.05  # peak extra memory / size of the gradient, at most
MOST_MEMORY_IN_PLACE = 0.01  # of the logits
FIRST_CALL_SECONDS = 0.5  # after `import torch`, kernels in the cache
COLD_COMPILE_SECONDS = 20.0
ELSEWHERE = "the error against float64 over random cases (the tests do that)"
