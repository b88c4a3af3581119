"""The GPU engine beside the others, where Triton's interpreter runs its kernels (``make gpu-interpret``).

The interpreter is slow, so cases are small, and tiles are made smaller still: rows of a few dozen classes then take
every way of the engine (several steps, edges before and behind, classes of a row shared by programs).
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
import torch

import arguments as building
from crossent.backends.gpu import tuning

SMALL = tuning.Limits(
    kept=16, kept_of_longer=8, step=16, tile=32, lanes=4, edges_from=4, share_from=24, share=8, parts=4
)
# For rows that would take minutes in steps of 16.
MIDDLE = tuning.Limits(kept=256, kept_of_longer=128, step=256, edges_from=4, share_from=600, share=256, parts=4)
LONG_ROW = 130

KINDS = {"bf16": torch.bfloat16, "fp32": torch.float32, "fp64": torch.float64, "fp16": torch.float16}
BITS = {2: torch.int16, 4: torch.int32, 8: torch.int64}
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"


def limits_for(case: Any) -> tuning.Limits:
    """Small tiles for two thirds of the cases, the engine's own for the others."""
    if case is None or zlib.crc32(case.name.encode()) % 3 == 0:
        return tuning.LIMITS
    return MIDDLE if case.shape[building.class_axis(case)] > LONG_ROW else SMALL


@pytest.fixture(autouse=True)
def small_tiles(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if not INTERPRETED:
        yield
        return
    import numpy

    known = getattr(request.node, "callspec", None)
    monkeypatch.setattr(tuning, "LIMITS", limits_for(known.params.get("case") if known else None))
    monkeypatch.setenv("CROSSENT_CHECK_TARGETS", "1")  # CPU tensors: targets out of range raise, as on the CPU
    with numpy.errstate(all="ignore"):  # the interpreter computes with numpy, which warns of infinities
        yield


@pytest.fixture(scope="session", autouse=True)
def faithful_interpreter() -> None:
    """Triton's interpreter cuts bfloat16 off where GPUs round to nearest even, and misreads its subnormal numbers; and
    it prepares triton.language anew for every call of every function of a kernel, which takes most of its time."""
    if not INTERPRETED:
        return
    import numpy
    import triton.language as tl
    from triton.runtime import interpreter

    convert, prepare, prepared = interpreter._convert_float, interpreter._patch_lang, {}

    def faithful(numbers: Any, source: Any, result: Any, mode: Any) -> Any:
        if tl.bfloat16 not in (source, result):
            return convert(numbers, source, result, mode)
        flat = torch.from_numpy(numpy.ascontiguousarray(numbers).reshape(-1).view(f"int{source.primitive_bitwidth}"))
        known = flat.view(KINDS[source.name]).to(KINDS[result.name])
        bits = known.view(BITS[known.element_size()]).numpy()
        return bits.view(f"uint{result.primitive_bitwidth}").reshape(numbers.shape)

    def once(function: Any) -> Any:
        module = function.__module__
        if module not in prepared:
            prepared[module] = prepare(function)
        return Kept()

    class Kept:
        def restore(self) -> None:
            """Nothing: this process compiles no kernel."""

    interpreter._convert_float, interpreter._patch_lang = faithful, once
