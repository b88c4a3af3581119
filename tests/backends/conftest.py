"""The GPU engine beside the others, where Triton's interpreter runs its kernels (``make gpu-interpret``).

The interpreter is slow, so cases are small, and tiles are made smaller still: rows of a few dozen classes then take
every way of the engine (several steps, edges before and behind, classes of a row shared by programs).
"""

from __future__ import annotations

import os
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import replace
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
LONG = tuning.Limits(kept=4096, kept_of_longer=2048, step=4096, edges_from=4, share_from=8192, share=4096, parts=4)
LONG_ROW, LONGEST_ROW = 130, 4096
WIDER = 4  # times as large for float64, whose tiles the engine makes smaller by itself

KINDS = {"bf16": torch.bfloat16, "fp32": torch.float32, "fp64": torch.float64, "fp16": torch.float16}
BITS = {2: torch.int16, 4: torch.int32, 8: torch.int64}
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"


def limits_for(case: Any) -> tuning.Limits:
    """Small tiles for two thirds of the cases, the engine's own for the others."""
    if case is None or zlib.crc32(case.name.encode()) % 3 == 0:
        return tuning.LIMITS
    classes = case.shape[building.class_axis(case)]
    known = LONG if classes > LONGEST_ROW else MIDDLE if classes > LONG_ROW else SMALL
    times = WIDER if case.dtype == torch.float64 else 1
    sizes = ("kept", "kept_of_longer", "step", "tile", "lanes")
    return replace(known, **{name: times * getattr(known, name) for name in sizes})


@pytest.fixture(autouse=True)
def small_tiles(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if not INTERPRETED:
        yield
        return
    import numpy

    known = getattr(request.node, "callspec", None)
    monkeypatch.setattr(tuning, "LIMITS", limits_for(known.params.get("case") if known else None))
    monkeypatch.setenv("CROSSENT_CHECK_TARGETS", "1")  # CPU tensors: targets out of range raise, as on the CPU
    with numpy.errstate(all="ignore"), warnings.catch_warnings():  # it computes with numpy, which warns of infinities
        warnings.filterwarnings("ignore", "All-NaN slice encountered", RuntimeWarning)
        yield


@pytest.fixture(scope="session", autouse=True)
def faithful_interpreter() -> None:
    """Triton's interpreter cuts bfloat16 off where GPUs round to nearest even, misreads its subnormal numbers, and
    makes integers of float64 on the way to it; and it prepares triton.language anew for every call of every function
    of a kernel, which takes most of its time."""
    if not INTERPRETED:
        return
    import numpy
    import triton.language as tl
    from triton.runtime import interpreter

    builder = interpreter.InterpreterBuilder
    convert, cast, prepare, prepared = interpreter._convert_float, builder.cast_impl, interpreter._patch_lang, {}

    def faithful(numbers: Any, source: Any, result: Any, mode: Any) -> Any:
        if tl.bfloat16 not in (source, result):
            return convert(numbers, source, result, mode)
        flat = torch.from_numpy(numpy.ascontiguousarray(numbers).reshape(-1).view(f"int{source.primitive_bitwidth}"))
        known = flat.view(KINDS[source.name]).to(KINDS[result.name])
        bits = known.view(BITS[known.element_size()]).numpy()
        return bits.view(f"uint{result.primitive_bitwidth}").reshape(numbers.shape)

    def faithful_cast(self: Any, source: Any, result: Any) -> Any:
        if (source.dtype.scalar, result.scalar) != (tl.float64, tl.bfloat16):
            return cast(self, source, result)
        return interpreter.TensorHandle(faithful(source.data, tl.float64, tl.bfloat16, None), result.scalar)

    def once(function: Any) -> Any:
        module = function.__module__
        if module not in prepared:
            prepared[module] = prepare(function)
        return Kept()

    class Kept:
        def restore(self) -> None:
            """Nothing: this process compiles no kernel."""

    interpreter._convert_float, interpreter._patch_lang, builder.cast_impl = faithful, once, faithful_cast
