"""The first call of a process, and a compilation from nothing: ``python -m crossent.bench.startup first|cold``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from typing import Any

TRIES = 3
SECONDS_AT_MOST = 300


def collect() -> dict[str, Any]:
    """First call with a warm cache (the least of some processes: it is about work, not noise), and cold compile."""
    first = [_process("first", os.environ) for _ in range(TRIES + 1)][1:]  # the first one may fill the cache
    with tempfile.TemporaryDirectory() as empty:
        cold = _process("cold", {**os.environ, "CROSSENT_CACHE_DIR": empty})
    return {"first_call_s": min(first), "cold_compile_s": cold}


def _process(what: str, environment: Any) -> float:
    command = [sys.executable, "-m", __name__, what]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS_AT_MOST)
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["no message"])[-1])
    return float(json.loads(done.stdout.splitlines()[-1]))


def _first() -> None:
    """Forward and backward: numba's import, the cached kernel and the call itself."""
    import torch

    logits = torch.randn(256, 1000, requires_grad=True)
    target = torch.zeros(256, dtype=torch.int64)
    began = time.perf_counter()
    import crossent

    crossent.cross_entropy(logits, target, backend="cpu").backward()
    print(time.perf_counter() - began)


def _cold() -> None:
    """Every kernel."""
    from typing import cast

    from crossent import dispatch  # loads torch, which is not part of what is timed

    engine = dispatch.load("cpu")
    if isinstance(engine, str):
        raise SystemExit(engine)
    began = time.perf_counter()
    cast(Any, engine).warmup()
    print(time.perf_counter() - began)


if __name__ == "__main__":
    {"first": _first, "cold": _cold}[sys.argv[1]]()
