"""Programs of others under ``crossent run --doctor``: ``python tests/doctor/third_party/run.py CLONES [WORD ...]``.

CLONES is a folder of git clones, named owner+name or name; WORDs choose among the programs. ``programs.json`` is the
data: where a program is, what it is called with, and which findings its readers have reported. Images are made up
(``torchvision.py``), prose is that of Python's own documentation. Prints precision and recall of each set; not a
test, since the clones are not part of this repository.
"""

from __future__ import annotations

import json
import os
import pydoc_data.topics
import shlex
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parents[2] / "src"
SECONDS = 240
LETTERS = 60_000  # of prose


def clone_of(repository: str, clones: Path) -> Path | None:
    owner, name = repository.split("/")
    candidates = (clones / f"{owner}+{name}" / "repo", clones / f"{owner}+{name}", clones / name)
    return next((path for path in candidates if path.is_dir()), None)


def unpack(program: dict[str, Any], clone: Path, into: Path) -> Path:
    """The folder of a program, with its edits and its prose."""
    paths = program.get("paths", program["folder"])  # without data that the prose replaces
    command = ["git", "-C", str(clone), "archive", program["commit"], paths]
    archive = subprocess.run(command, check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x", "-C", str(into)], input=archive, check=True)
    folder = into / program["folder"]
    for old, new in program.get("edits", ()):
        for path in folder.glob("*.py"):
            path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    prose = "O God, O God!\n" + "\n".join(pydoc_data.topics.topics.values())
    for name in program.get("prose", ()):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(prose[:LETTERS], encoding="utf-8")
    return folder


def found_in(program: dict[str, Any], clone: Path) -> set[tuple[str, int]] | str:
    """(code, line) of the warnings and errors in the program's own files; text: it failed."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = unpack(program, clone, Path(scratch))
        places = [str(HERE), str(SOURCE), str(folder)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places), "OMP_NUM_THREADS": "1"}
        call = {"cwd": folder, "env": environment, "capture_output": True, "text": True, "timeout": SECONDS}
        if "before" in program:
            subprocess.run([sys.executable, program["before"], *shlex.split(program["arguments"])], check=True, **call)
        doctor = [sys.executable, "-m", "crossent", "run", "--doctor", "--report", "report.json", program["program"]]
        done = subprocess.run([*doctor, *shlex.split(program["arguments"])], check=False, **call)
        if done.returncode:
            return done.stderr[-600:]
        findings = json.loads((folder / "report.json").read_text())["findings"]
    return {(finding["code"], finding["line"]) for finding in findings if finding["severity"] != "note"}


def main() -> None:
    clones, words = Path(sys.argv[1]), sys.argv[2:]
    tally: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])  # programs, expected, hit, false
    for program in json.loads((HERE / "programs.json").read_text()):
        name = f"{program['repository']} {program['folder']}/{program['program']} {program['arguments']}"
        if not all(word in name for word in words):
            continue
        clone = clone_of(program["repository"], clones)
        if clone is None:
            print(f"{name}: no clone; git clone https://github.com/{program['repository']} in {clones}")
            continue
        found = found_in(program, clone)
        if isinstance(found, str):
            print(f"{name}: failed\n{found}")
            continue
        expected = {(code, line) for code, line in program.get("expected", ())}
        counts = (1, len(expected), len(expected & found), len(found - expected))
        tally[program["set"]] = [a + b for a, b in zip(tally[program["set"]], counts, strict=True)]
        print(f"{name}: {sorted(found) or 'nothing'}; missed {sorted(expected - found) or 'nothing'}", flush=True)
    for name, (programs, expected, hit, false) in tally.items():
        precision = f"{hit / (hit + false):.3f}" if hit + false else "none found"
        recall = f"{hit / expected:.3f}" if expected else "none known"
        print(f"{name} set, {programs} programs: {false} false, precision {precision}, recall {recall}")


if __name__ == "__main__":
    main()
