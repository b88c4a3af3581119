"""`crossent run --doctor`: what the program does is not changed, and what is wrong with it is said."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest

import crossent

TRAIN = """
import sys, torch
import torch.nn.functional as F
from torch.nn.functional import nll_loss

torch.manual_seed(0)
model = torch.nn.Linear(20, 10)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(6):
    x, y = torch.randn(32, 20), torch.randint(0, 10, (32,))
    loss = F.cross_entropy(model(x).softmax(1), y)  # XEN101
    loss = loss + nll_loss(model(x), y)  # XEN104
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(f"{loss.item():.6f}")
if "fail" in sys.argv:
    torch.nn.CrossEntropyLoss()(model(x), y.float())  # XEN207
if "exit" in sys.argv:
    sys.exit(7)
"""


def run(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    (folder / "train.py").write_text(TRAIN)
    root = str(Path(crossent.__file__).resolve().parent.parent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]), **more}
    command = [sys.executable, "-m", "crossent", "run", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


def line_of(code: str) -> int:
    return next(number for number, line in enumerate(TRAIN.splitlines(), 1) if line.endswith(f"# {code}"))


def places(path: Path) -> set[tuple[str, str, int]]:
    findings = json.loads(path.read_text())["findings"]
    return {(finding["code"], finding["file"], finding["line"]) for finding in findings}


EXPECTED = {(code, "train.py", line_of(code)) for code in ("XEN101", "XEN104")}


def test_findings_have_the_scripts_lines_with_crossents_losses_and_with_torchs(tmp_path: Path) -> None:
    outputs = []
    for losses in ("crossent", "torch"):
        done = run(tmp_path, "--doctor", "--losses", losses, "--report", "report.json", "train.py")
        assert done.returncode == 0, done.stderr
        assert places(tmp_path / "report.json") == EXPECTED
        assert done.stderr.count("(softmax-before-cross-entropy, high confidence)") == 1  # once per line, as it happens
        assert "crossent doctor: 2 errors in 6 watched loss calls" in done.stderr
        outputs.append(done.stdout)
    assert outputs[0] == outputs[1] == run(tmp_path, "train.py").stdout


@pytest.mark.slow
def test_strict_changes_the_exit_status_and_nothing_else_does(tmp_path: Path) -> None:
    assert run(tmp_path, "--doctor", "--strict", "--report", "r.html", "train.py").returncode == 1
    assert "XEN101" in (tmp_path / "r.html").read_text()
    assert run(tmp_path, "--doctor", "--strict", "train.py", "exit").returncode == 7


def test_an_exception_is_explained_before_its_traceback(tmp_path: Path) -> None:
    done = run(tmp_path, "--doctor", "--losses", "torch", "--report", "report.sarif", "train.py", "fail")
    assert done.returncode == 1
    assert done.stderr.index("XEN207") < done.stderr.index("Traceback")
    results = json.loads((tmp_path / "report.sarif").read_text())["runs"][0]["results"]
    lines = {result["ruleId"]: result["locations"][0]["physicalLocation"]["region"]["startLine"] for result in results}
    assert lines == {code: line_of(code) for code in ("XEN101", "XEN104", "XEN207")}


def test_what_cannot_be_done_is_refused_before_the_program_runs(tmp_path: Path) -> None:
    for arguments, text in (
        (("--strict",), "--strict belongs to --doctor; write: crossent run --doctor --strict ..."),
        (("--steps", "5", "--every", "0"), "--steps and --every belong to --doctor"),
        (("--doctor", "--steps", "0"), "--steps"),
        (("--doctor", "--report", "r.pdf"), "ends in .html, .json, .sarif, .txt"),
        (("--doctor", "--report", "missing/r.html"), "there is no folder"),
    ):
        done = run(tmp_path, *arguments, "train.py")
        assert done.returncode == 2 and text in done.stderr and not done.stdout


@pytest.mark.slow
def test_other_ranks_keep_quiet(tmp_path: Path) -> None:
    done = run(tmp_path, "--doctor", "train.py", RANK="1")
    assert done.returncode == 0 and "XEN101" not in done.stderr


CHILDREN = """
import multiprocessing, sys, torch
import torch.nn.functional as F

def misuse():
    F.nll_loss(torch.randn(32, 20) @ torch.randn(20, 10), torch.randint(0, 10, (32,)))
    print("child done", flush=True)

if __name__ == "__main__":
    child = multiprocessing.get_context(sys.argv[1]).Process(target=misuse)
    child.start()
    child.join()
    print("exit status of the child:", child.exitcode)
"""


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_what_is_found_in_a_child_is_in_the_report_at_the_end(method: str, tmp_path: Path) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system does not {method}")
    (tmp_path / "children.py").write_text(CHILDREN)
    line = next(n for n, text in enumerate(CHILDREN.splitlines(), 1) if "nll_loss" in text)
    done = run(tmp_path, "--doctor", "children.py", method)
    assert done.returncode == 0, done.stderr
    assert "child done" in done.stdout and "exit status of the child: 0" in done.stdout
    assert f"XEN104 error logits-into-nll-loss children.py:{line}" in done.stderr, done.stderr
    strict = run(tmp_path, "--doctor", "--strict", "children.py", method)
    assert strict.returncode == 1, strict.stderr
