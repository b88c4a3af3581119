"""The first call of a process, and a compilation of every kernel from nothing, each in fresh processes.

The processes run the texts below and not this module, whose import would load crossent before the clock starts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from typing import Any

from crossent.bench import about

TRIES = 3
SECONDS_AT_MOST = 400

FIRST = """
import time, torch
logits, target = torch.randn(256, 1000, requires_grad=True), torch.zeros(256, dtype=torch.int64)
began = time.perf_counter(), time.process_time()
import crossent
crossent.cross_entropy(logits, target, backend="cpu").backward()
print([time.perf_counter() - began[0], time.process_time() - began[1]])
"""
COLD = """
import time
from crossent import dispatch
engine = dispatch.load("cpu")
if isinstance(engine, str):
    raise SystemExit(engine)
began = time.perf_counter(), time.process_time()
engine.warmup()
print([time.perf_counter() - began[0], time.process_time() - began[1]])
"""


def collect() -> dict[str, Any]:
    """First call with a warm cache (the least of some processes: it is about work, not noise), and cold compile."""
    first, processor = min([_process(FIRST, os.environ) for _ in range(TRIES + 1)][1:])  # the first fills the cache
    with tempfile.TemporaryDirectory() as empty:
        cold, cold_processor = _process(COLD, {**os.environ, "CROSSENT_CACHE_DIR": empty})
    return {
        "first_call_s": first,
        "first_call_cpu_s": processor,
        "cold_compile_s": cold,
        "cold_compile_cpu_s": cold_processor,
        "load": about.load_average(),
    }


def _process(code: str, environment: Any) -> list[float]:
    """Seconds that passed, and seconds of processor time."""
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS_AT_MOST)
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["no message"])[-1])
    return json.loads(done.stdout.splitlines()[-1])
