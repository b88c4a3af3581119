"""Compile the GPU engine's kernels ahead of time, without a GPU, and show what each takes: ``make gpu-compile``.

The engine is called as a loss calls it, on CPU tensors, with a recorder in the place of the launch: what would be
launched is compiled for every target instead, so the list of specialisations is the engine's own. Registers, spilled
bytes (local memory) and shared memory come from the compiled code. A spill makes the exit status 1.

    make gpu-compile                                  # every target, every specialisation
    make gpu-compile ARGS="--target sm_90 --dtype float32 --out benchmarks/results/gpu-compile.json"
    python benchmarks/gpu_compile.py --quick          # bfloat16 on sm_90
"""

from __future__ import annotations

import argparse
import datetime
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import torch
import triton
from torch import Tensor
from triton.backends import nvidia
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from crossent.backends.gpu import call, launch
from crossent.backends.protocol import RowGradWant, RowProblem, Rows
from crossent.stats import GradCoefficients, RowStats

TARGETS = {
    "sm_80": GPUTarget("cuda", 80, 32),
    "sm_90": GPUTarget("cuda", 90, 32),
    "sm_100": GPUTarget("cuda", 100, 32),
    "gfx942": GPUTarget("hip", "gfx942", 64),
}
TYPES = {
    torch.float32: "fp32", torch.float64: "fp64", torch.bfloat16: "bf16", torch.float16: "fp16", torch.int64: "i64",
}  # fmt: skip
OTHER = {
    torch.float32: torch.bfloat16, torch.float64: torch.bfloat16, torch.bfloat16: torch.float32,
    torch.float16: torch.float32,
}  # fmt: skip
PROCESSORS = 132  # of an H100 or H200: decides when the classes of a row are shared

Specialisation = tuple[str, str, int, tuple[Any, ...]]  # module, kernel, warps, arguments (name, type, value, aligned)


# ---- what the engine would launch ---------------------------------------------------------------


def problems(dtype: torch.dtype) -> Iterator[RowProblem]:
    """Rows of every way of the engine: short, kept, odd, long, few, classes apart; every kind of target and map."""
    for shape in (
        (64, 10, 1),
        (64, 1000, 1),
        (64, 1001, 1),
        (600, 32000, 1),
        (600, 50257, 1),
        (8, 128256, 1),
        (4, 21, 64),
    ):
        outer, classes, inner = shape
        logits = torch.empty(shape, dtype=dtype)
        index = torch.zeros((outer, inner), dtype=torch.int64)
        wide = torch.float64 if dtype == torch.float64 else torch.float32
        weight, scale = torch.empty(classes, dtype=wide), torch.empty((outer, inner), dtype=wide)
        known: dict[str, Any] = {"logits": logits, "on": 1.0, "off": 0.0, "skip": -100, "class_weight": None}
        smoothed = known | {"on": 0.9, "off": 0.1 / classes, "class_weight": weight}
        yield RowProblem(target=index, **known)
        yield RowProblem(target=index, **(smoothed | {"softcap": 30.0, "logit_scale": scale, "z_loss": 1e-4}))
        yield RowProblem(target=torch.empty_like(logits), **(smoothed | {"skip": None}))
        if classes in (1000, 50257):  # probabilities and results of another dtype
            yield RowProblem(target=torch.empty(shape, dtype=OTHER[dtype]), **(known | {"skip": None}))


def use(problem: RowProblem) -> None:
    """Every function of the backend on one problem."""
    logits, rows = problem.logits, torch.empty(problem.row_shape, dtype=problem.compute_dtype)
    out, given = torch.empty_like(logits), Rows(logits=logits, softcap=problem.softcap, logit_scale=problem.logit_scale)
    launch.count_rows(problem, rows)
    launch.row_stats(problem)
    launch.row_stats(problem, tilt=True)
    launch.row_read(problem)
    launch.row_loss_and_grad(problem, rows.new_empty(()), None, out)
    launch.row_loss_and_grad(problem, rows.new_empty(()), rows, logits)
    numbers = RowStats(rows, rows, rows, rows)
    launch.row_grad(problem, numbers, GradCoefficients(rows, rows), out)
    want = RowGradWant(scale=True, target=not problem.is_index)
    launch.row_grad(problem, numbers, GradCoefficients(rows, rows, rows), out, want=want)
    launch.multiply(out, rows.new_empty(()))
    launch.log_softmax(given, out if problem.is_index else torch.empty_like(problem.target))
    launch.log_softmax_grad(given, out, torch.empty_like(out), logits, want_scale=True)


def specialisations(dtypes: list[torch.dtype], warp: int) -> list[Specialisation]:
    """Each different launch once."""
    seen: dict[Specialisation, None] = {}

    def record(room: str, name: str, grid: Any, warps: int, arguments: dict[str, Any], device: Any) -> None:
        kernel = call.kernel(room, name)
        described = tuple(describe(parameter, arguments[parameter.name]) for parameter in kernel.params)
        seen[room, name, warps, described] = None

    call.start = launch.start = record  # type: ignore[assignment]
    call.processors = launch.processors = lambda device: PROCESSORS  # type: ignore[assignment]
    call._warp = lambda: warp  # type: ignore[assignment]  # pyright: ignore[reportPrivateUsage]
    for dtype in dtypes:
        for problem in problems(dtype):
            use(problem)
    return list(seen)


def describe(parameter: Any, value: Any) -> tuple[str, str, Any, bool]:
    """(name, type, value, whether a multiple of 16), as Triton specialises: None and 1 are constants."""
    if parameter.is_constexpr or value is None:
        return parameter.name, "constexpr", value, False
    if isinstance(value, Tensor):
        return parameter.name, "*" + TYPES[value.dtype], None, value.data_ptr() % 16 == 0
    if isinstance(value, float):
        return parameter.name, "fp32", None, False
    if parameter.do_not_specialize:
        return parameter.name, "i32" if -(2**31) <= value < 2**31 else "i64", None, False
    if value == 1:
        return parameter.name, "constexpr", 1, False
    return parameter.name, "i32" if -(2**31) <= value < 2**31 else "i64", None, value % 16 == 0


# ---- compiling ----------------------------------------------------------------------------------


def constexprs(arguments: tuple[Any, ...]) -> dict[str, Any]:
    return {name: value for name, kind, value, _ in arguments if kind == "constexpr"}


class Took(NamedTuple):
    target: str
    kernel: str
    what: str
    registers: int
    spilled: int
    shared: int


def compiled(job: tuple[str, Specialisation]) -> Took:
    """One specialisation for one target."""
    target, (room, name, warps, arguments) = job
    signature = {argument: kind for argument, kind, _, _ in arguments}
    constants = {(index,): value for index, (_, kind, value, _) in enumerate(arguments) if kind == "constexpr"}
    aligned = {(index,): [["tt.divisibility", 16]] for index, (*_, multiple) in enumerate(arguments) if multiple}
    source = ASTSource(call.kernel(room, name), signature, constants, aligned)
    options = call.options(warps, constexprs(arguments), nvidia=TARGETS[target].backend == "cuda")
    made = triton.compile(source, target=TARGETS[target], options=options)
    tile = " ".join(f"{argument}={value}" for argument, kind, value, _ in arguments if argument.isupper() and value)
    first = next(kind for _, kind, _, _ in arguments if kind.startswith("*"))
    registers, spilled = _gcn(made.asm["amdgcn"]) if target.startswith("gfx") else _cubin(made.asm["cubin"])
    return Took(target, name, f"{first} warps={warps} {tile}", registers, spilled, made.metadata.shared)


def _cubin(code: bytes) -> tuple[int, int]:
    """(registers, bytes of a thread's stack): ``cuobjdump`` comes with Triton."""
    tool = Path(nvidia.__file__).parent / "bin" / "cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(code)
        file.flush()
        said = subprocess.run([tool, "-res-usage", file.name], capture_output=True, text=True, check=True)
    found = re.search(r"REG:(\d+) STACK:(\d+)", said.stdout + said.stderr)
    assert found is not None, said.stdout + said.stderr
    return int(found[1]), int(found[2])


def _gcn(code: str) -> tuple[int, int]:
    """(vector registers, bytes of a thread's memory and spilled vector registers). Scalars that are kept in lanes of
    a vector register cost no memory and are not counted: there are 106 scalar registers, whatever a tile's size."""

    def number(name: str) -> int:
        return max(int(found) for found in re.findall(rf"\.{name}:\s*(\d+)", code))

    return number("vgpr_count"), number("private_segment_fixed_size") + number("vgpr_spill_count")


def part(target: str, dtype: str, pool: ProcessPoolExecutor) -> dict[str, int]:
    """Every specialisation of one dtype for one target, printed; and their sums."""
    jobs = [(target, each) for each in specialisations([getattr(torch, dtype)], TARGETS[target].warp_size)]
    everything: list[Took] = []
    for took in pool.map(compiled, jobs):
        everything.append(took)
        mark = "  SPILLS" if took.spilled else ""
        numbers = f"{took.registers:4} registers  {took.spilled:4} spilled  {took.shared:6} B shared"
        print(f"{took.target:7} {took.kernel:28} {numbers}{mark}  {took.what}", flush=True)
    return {
        "specialisations": len(everything),
        "most_registers": max(took.registers for took in everything),
        "most_shared_bytes": max(took.shared for took in everything),
        "spill": sum(took.spilled > 0 for took in everything),
    }


def write(path: Path, known: dict[str, dict[str, int]]) -> None:
    """The sums of this run into the file's, each with its versions and date."""
    content = json.loads(path.read_text()) if path.exists() else {}
    of = {"triton": triton.__version__, "torch": torch.__version__, "date": datetime.date.today().isoformat()}
    content |= {name: sums | of for name, sums in known.items()}
    path.write_text(json.dumps(dict(sorted(content.items())), indent=1) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--target", action="append", choices=TARGETS, help="Only this one; may be repeated.")
    parser.add_argument("--dtype", action="append", choices=[str(dtype)[6:] for dtype in OTHER])
    parser.add_argument("--quick", action="store_true", help="bfloat16 on sm_90.")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="Keep the sums there, with what it has already.")
    asked = parser.parse_args()
    targets = ["sm_90"] if asked.quick else asked.target or list(TARGETS)
    names = ["bfloat16"] if asked.quick else asked.dtype or [str(dtype)[6:] for dtype in OTHER]
    known: dict[str, dict[str, int]] = {}
    print(f"triton {triton.__version__}", flush=True)
    with ProcessPoolExecutor(asked.processes) as pool:
        for target in targets:
            for name in names:
                known[f"{target} {name}"] = part(target, name, pool)
                if asked.out:
                    write(asked.out, known)
    for name, sums in known.items():
        print(f"{name:16}", ", ".join(f"{number} {what.replace('_', ' ')}" for what, number in sums.items()))
    return int(any(sums["spill"] for sums in known.values()))


if __name__ == "__main__":
    sys.exit(main())
