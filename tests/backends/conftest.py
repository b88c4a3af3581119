"""The GPU engine beside the others, where Triton's interpreter runs its kernels (``make gpu-interpret``).

The interpreter is slow, so cases are small, and tiles are made smaller still: rows of a few dozen classes then take
every way of the engine (several steps, edges before and behind, classes of a row shared by programs).
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

SMALL = {
    "kept": 16, "kept_of_longer": 8, "step": 16, "tile": 32, "lanes": 4, "edges_from": 4,
    "share_from": 24, "share": 8, "parts": 4,
}  # fmt: skip


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if os.environ.get("TRITON_INTERPRET") != "1":
        yield
        return
    import numpy

    from crossent.backends.gpu import tuning

    monkeypatch.setattr(tuning, "LIMITS", tuning.Limits(**SMALL))
    monkeypatch.setenv("CROSSENT_CHECK_TARGETS", "1")  # CPU tensors: targets out of range raise, as on the CPU
    with numpy.errstate(all="ignore"):  # the interpreter computes with numpy, which warns of infinities
        yield
