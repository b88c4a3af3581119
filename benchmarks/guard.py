"""``make perf-guard``: how many instructions each CPU kernel executes, held against a committed baseline.

Time on a shared machine says little about a commit; instructions are the same on every run to a tenth of a percent. A
kernel whose vector loop has fallen apart (an aliasing check that fails, a reduction that is not vectorised) executes
several times as many. What a count cannot see: memory traffic and cache misses; the benchmark is for those.

Valgrind does not know AVX-512, so kernels are compiled for x86-64-v3 (AVX2) here, for every machine the same. A
baseline belongs to one version of Numba and llvmlite.

    python benchmarks/guard.py             compare; status 1 if a count has changed by more than the tolerance
    python benchmarks/guard.py --accept    write the counts as the new baseline (commit it with the reason)
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).resolve().parent
BASELINE = HERE / "callgrind.json"
TOLERANCE = 0.02
TARGET = {"NUMBA_CPU_NAME": "x86-64-v3", "NUMBA_CPU_FEATURES": "+avx2,+fma,+f16c,+bmi,+bmi2,+lzcnt,+popcnt,+movbe"}
PACKAGES = ("numba", "llvmlite")
SECONDS_AT_MOST = 1800


def why_not() -> str | None:
    """Why nothing can be counted here, or None."""
    if shutil.which("valgrind") is None:
        return "valgrind is not installed"
    if platform.machine() not in ("x86_64", "AMD64"):
        return f"the baseline is of x86-64, this is {platform.machine()}"
    for package in PACKAGES:
        try:
            metadata.version(package)
        except metadata.PackageNotFoundError:
            return f"{package} is not installed"
    return None


def count() -> dict[str, int]:
    """Instructions by name of the call."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ, **TARGET, "PYTHONHASHSEED": "0", "CROSSENT_CACHE_DIR": folder, "OMP_NUM_THREADS": "1",
        }  # fmt: skip
        command = [sys.executable, "-W", "ignore", str(HERE / "guarded_calls.py")]
        _run([*command, "prepare"], environment)  # compiled outside of valgrind: inside it takes minutes
        out = Path(folder) / "counts"
        _run(
            ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={out}", *command, "count"],
            environment,
        )
        return parse([path.read_text(encoding="utf-8") for path in Path(folder).glob("counts.*")])


def _run(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS_AT_MOST)
    if done.returncode:
        raise SystemExit(f"{Path(command[0]).name} ended with status {done.returncode}:\n{done.stderr[-2000:]}")


def parse(dumps: list[str]) -> dict[str, int]:
    """The counts of callgrind's dumps, by the name that the client request gave."""
    found: dict[str, int] = {}
    for dump in dumps:
        name = re.search(r"^desc: Trigger: Client Request: (.+)$", dump, re.MULTILINE)
        total = re.search(r"^totals: (\d+)", dump, re.MULTILINE)
        if name and total:
            found[name[1]] = int(total[1])
    return dict(sorted(found.items()))


def compare(before: dict[str, int], now: dict[str, int]) -> list[tuple[str, str, str, str]]:
    """(name, before, now, change) of what has changed by more than the tolerance, has come or has gone."""
    rows: list[tuple[str, str, str, str]] = []
    for name in sorted(before.keys() | now.keys()):
        if name not in now:
            rows.append((name, f"{before[name]:,}", "", "gone"))
        elif name not in before:
            rows.append((name, "", f"{now[name]:,}", "new"))
        elif abs(now[name] / before[name] - 1) > TOLERANCE:
            rows.append((name, f"{before[name]:,}", f"{now[name]:,}", f"{now[name] / before[name] - 1:+.1%}"))
    return rows


def versions() -> dict[str, str]:
    return {name: metadata.version(name) for name in PACKAGES}


def main(arguments: list[str]) -> int:
    reason = why_not()
    if reason is not None:
        print(f"perf-guard skipped: {reason}")
        return 0
    now = count()
    if "--accept" in arguments:
        content = {"target": TARGET, "versions": versions(), "tolerance": TOLERANCE, "instructions": now}
        BASELINE.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        print(f"{len(now)} counts written to {BASELINE.name}; commit it with the reason for the change")
        return 0
    return report(json.loads(BASELINE.read_text(encoding="utf-8")), now)


def report(baseline: dict[str, dict[str, int]], now: dict[str, int]) -> int:
    """Print what has changed; the exit status."""
    if baseline["versions"] != versions():
        print(f"the baseline is of {baseline['versions']}, this is {versions()}: other code may be right here")
    changed = compare(baseline["instructions"], now)
    if not changed:
        print(f"perf-guard: {len(now)} kernels, none changed by more than {TOLERANCE:.0%}")
        return 0
    width = max(len(row[0]) for row in changed)
    print(f"{'call':{width}}  {'baseline':>14}  {'now':>14}  change")
    for name, before, after, change in changed:
        print(f"{name:{width}}  {before:>14}  {after:>14}  {change}")
    print(
        f"\nMore than {TOLERANCE:.0%} apart. Meant to be so? make perf-guard ARGS=--accept, and commit {BASELINE.name}"
    )
    return 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
