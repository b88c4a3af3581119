"""Processes that a program under `crossent run` starts: counted, or told as not seen."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from programs import LOSSES, counted, start, write

SPAWNING = (
    LOSSES
    + """
import multiprocessing, sys
from torch.nn.functional import cross_entropy  # bound while the child imports its main module
def work(n):
    losses(n)
    names = (F.cross_entropy.__module__, cross_entropy.__module__, __name__)
    print(" ".join(names) + "\\n", end="", flush=True)  # in one write: both children share the pipe
if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    children = [context.Process(target=work, args=(n,)) for n in (2, 3)]
    for child in children: child.start()
    for child in children: child.join()
    losses(1)
    sys.exit(max(child.exitcode for child in children))
"""
)
METHODS = ["spawn", *([] if sys.platform == "win32" else ["fork", "forkserver"])]


@pytest.mark.parametrize("method", METHODS)
def test_children_of_multiprocessing_are_counted(tmp_path: Path, method: str) -> None:
    write(tmp_path, "script.py", SPAWNING)
    counts, done = counted(tmp_path, "script.py", method)
    name = "__main__" if method == "fork" else "__mp_main__"
    assert sorted(done.stdout.splitlines()) == [f"crossent.functional crossent.functional {name}"] * 2
    assert (counts["calls"], counts["child_processes_with_losses"], counts["child_processes_cut_short"]) == (6, 2, 0)
    assert done.stderr.splitlines()[-1].startswith("crossent run: 6 loss calls in 2 child processes and here: ")


@pytest.mark.slow
def test_children_of_a_module_are_counted(tmp_path: Path) -> None:
    write(tmp_path, "package/__init__.py", "")
    write(tmp_path, "package/train.py", SPAWNING)
    assert counted(tmp_path, "-m", "package.train", "spawn")[0]["calls"] == 6


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
def test_a_killed_child_is_counted_and_told(tmp_path: Path) -> None:
    text = (
        LOSSES
        + "import os, signal\nif os.fork() == 0:\n    losses(1)\n    os.kill(os.getpid(), signal.SIGKILL)\nos.wait()"
    )
    write(tmp_path, "script.py", text)
    counts, done = counted(tmp_path, "script.py")
    assert (counts["calls"], counts["child_processes_cut_short"]) == (1, 1)
    assert "note: 1 child process ended without a word" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
def test_only_the_first_process_reports(tmp_path: Path) -> None:
    write(
        tmp_path, "script.py", LOSSES + "import os, sys\nif os.fork() == 0:\n    losses(2)\n    sys.exit()\nos.wait()"
    )
    counts, done = counted(tmp_path, "script.py")
    assert counts["calls"] == 2
    assert done.stderr.count("crossent run:") == 1, done.stderr


def test_python_subprocesses_are_not_seen_and_that_is_told(tmp_path: Path) -> None:
    text = """
import subprocess, sys
subprocess.run([sys.executable, "-c", "pass"], check=True)
subprocess.run([sys.executable, "-m", "crossent", "--version"], check=True)
subprocess.run(["echo", "python"] if sys.platform != "win32" else ["cmd", "/c", "echo"], check=True)
"""
    write(tmp_path, "script.py", text)
    counts, done = counted(tmp_path, "script.py")
    assert len(counts["python_processes_not_seen"]) == 1
    assert "note: not seen: 1 Python process that the program started" in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="exec keeps the process id on POSIX only")
def test_a_program_that_becomes_another_reports_before(tmp_path: Path) -> None:
    write(
        tmp_path,
        "script.py",
        LOSSES + "import os, sys\nlosses(2)\nos.execv(sys.executable, [sys.executable, '-c', ''])",
    )
    counts, done = counted(tmp_path, "script.py")
    assert counts["calls"] == 2 and len(counts["python_processes_not_seen"]) == 1
    assert done.stderr.count("loss calls:") == 1


@pytest.mark.slow
def test_torchrun_reports_every_rank(tmp_path: Path) -> None:
    write(tmp_path, "script.py", LOSSES + "import os\nlosses(1 + int(os.environ['RANK']))")
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "0"]
    command = [sys.executable, *launcher, "-m", "crossent", "run", "--json", "c.json", "script.py"]
    done = start(command, tmp_path, OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr
    assert "crossent run [rank 0]: 1 loss call: " in done.stderr
    assert "crossent run [rank 1]: 2 loss calls: " in done.stderr
    assert json.loads((tmp_path / "c.rank1.json").read_text())["calls"] == 2


@pytest.mark.slow
def test_workers_of_a_data_loader_do_not_disturb(tmp_path: Path) -> None:
    text = """
from torch.utils.data import DataLoader, TensorDataset
if __name__ == "__main__":
    for (x,) in DataLoader(TensorDataset(torch.randn(8, 5)), batch_size=4, num_workers=2):
        F.cross_entropy(x, torch.arange(4))
"""
    write(tmp_path, "script.py", LOSSES + text)
    counts, _ = counted(tmp_path, "script.py")
    assert (counts["calls"], counts["child_processes_with_losses"]) == (2, 0)
