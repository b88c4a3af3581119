"""`crossent run --doctor` on programs of frameworks: data in ``frameworks``, the expected findings at their lines.

Lightning and transformers are no requirements of the tests; where they are missing, their programs are skipped.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import crossent
from doctor.stage import Example, collect

PROGRAMS = {program.name: program for program in collect("frameworks")}
FOLDER = Path(__file__).parent / "frameworks"


def start(name: str, folder: Path, *arguments: str, **more: str) -> subprocess.Popen[str]:
    root = str(Path(crossent.__file__).resolve().parent.parent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]), **more}
    report = folder / f"report{more.get('RANK', '')}.json"
    command = [sys.executable, "-m", "crossent", "run", "--doctor", "--report", str(report)]
    return subprocess.Popen(
        [*command, str(FOLDER / f"{name}.py"), *arguments],
        cwd=FOLDER, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def report_of(process: subprocess.Popen[str], folder: Path, rank: str = "") -> tuple[dict[str, Any], str]:
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    path = folder / f"report{rank}.json"
    return (json.loads(path.read_text()) if path.exists() else {}), out + err


def places(report: dict[str, Any]) -> set[tuple[str, int]]:
    return {(finding["code"], finding["line"]) for finding in report["findings"] if finding["severity"] != "note"}


def played(name: str, folder: Path, *arguments: str) -> tuple[Example, dict[str, Any]]:
    report, _ = report_of(start(name, folder, *arguments), folder)
    return PROGRAMS[name], report


def needs(package: str) -> Any:
    missing = importlib.util.find_spec(package) is None
    return pytest.mark.skipif(missing, reason=f"{package} is not installed; pip install {package} to run this")


@pytest.mark.slow
def test_data_parallel(tmp_path: Path) -> None:
    program, report = played("data_parallel", tmp_path)
    assert places(report) == program.expected


@pytest.mark.slow
def test_compile_autocast_and_both_kinds_of_checkpointing(tmp_path: Path) -> None:
    program, report = played("compiled", tmp_path)
    assert places(report) == program.expected
    opaque = [limit for limit in report["limits"] if "the graph is opaque" in limit]
    assert len(opaque) == 2 and "torch.compile" in opaque[0] and "reentrant checkpointing" in opaque[1]
    assert all("values were tested in its place" in limit for limit in opaque)


@pytest.mark.slow
@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch was built without torch.distributed")
def test_two_processes_of_distributed_data_parallel(tmp_path: Path) -> None:
    """Rank 0 reports, rank 1 keeps quiet, and both train on."""
    world = {"WORLD_SIZE": "2"}
    processes = [start("ddp_gloo", tmp_path, str(tmp_path / "store"), RANK=str(rank), **world) for rank in range(2)]
    (first, said), (second, other) = (report_of(process, tmp_path, str(n)) for n, process in enumerate(processes))
    assert places(first) == PROGRAMS["ddp_gloo"].expected and "rank 0 done" in said
    assert not second and "rank 1 done" in other and "XEN" not in other


@pytest.mark.slow
@needs("lightning")
def test_lightning(tmp_path: Path) -> None:
    program, report = played("lightning_module", tmp_path)
    assert places(report) == program.expected


@pytest.mark.slow
@needs("transformers")
@needs("accelerate")
def test_hugging_face_trainer(tmp_path: Path) -> None:
    """The finding is at the user's line; the library's is named in it. Labels as they should be get no finding."""
    program, wrong = played("transformers_trainer", tmp_path, str(tmp_path), "wrong")
    assert places(wrong) == program.expected
    assert "loss_utils.py" in wrong["findings"][0]["message"]
    _, right = played("transformers_trainer", tmp_path, str(tmp_path), "right")
    assert right["ok"], right
