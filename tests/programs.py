"""Small programs run under `crossent run` in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import crossent

RUN = [sys.executable, "-m", "crossent", "run"]

# What a program can see of how it was started.
PROBE = """
'''The docstring.'''
import json, os, sys
main = sys.modules["__main__"]
print(json.dumps({
    "argv": sys.argv, "path0": sys.path[0], "name": __name__, "file": __file__, "package": __package__,
    "doc": __doc__, "cached": globals().get("__cached__"), "annotations": globals().get("__annotations__"),
    "spec": None if __spec__ is None else [__spec__.name, __spec__.origin, __spec__.parent],
    "loader": type(__loader__).__name__, "builtins": str(__builtins__), "is_main": main.__dict__ is globals(),
    "names": sorted(name for name in globals() if name != "__conditional_annotations__"),
    "cwd": os.getcwd(), "stdin": sys.stdin.read(), "flags": str(sys.flags), "excepthook": str(sys.excepthook),
    "torch": "torch" in sys.modules,
}))
def annotated(x: 1 + 1): ...
assert annotated.__annotations__ == {"x": 2}, "the program was compiled with our own future imports"
"""

LOSSES = """
import torch
import torch.nn.functional as F
def losses(n, rows=8):
    for _ in range(n):
        F.cross_entropy(torch.randn(rows, 5, requires_grad=True), torch.arange(rows) % 5).backward()
"""


def environment(**more: str) -> dict[str, str]:
    """The tests' own environment; a checkout is found as well as an installed package."""
    root = str(Path(crossent.__file__).resolve().parent.parent)
    plain = {name: value for name, value in os.environ.items() if name not in ("PYTHONSAFEPATH", "RANK")}
    return {**plain, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]).strip(os.pathsep), **more}


def start(command: list[str], cwd: Path, input: str = "", **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=cwd, input=input, env=environment(**more), capture_output=True, text=True, timeout=120
    )


def run(cwd: Path, *arguments: str, input: str = "", **more: str) -> subprocess.CompletedProcess[str]:
    return start([*RUN, *arguments], cwd, input, **more)


def counted(cwd: Path, *arguments: str, **more: str) -> tuple[dict[str, Any], subprocess.CompletedProcess[str]]:
    """The JSON of a run that must succeed."""
    done = run(cwd, "--json", "counts.json", *arguments, **more)
    assert done.returncode == 0, done.stderr
    return json.loads((cwd / "counts.json").read_text()), done


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def without_report(stderr: str) -> str:
    return "".join(line for line in stderr.splitlines(keepends=True) if not line.startswith("crossent run"))
