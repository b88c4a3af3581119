"""`crossent run` is held to plain python: the same small programs run under both, and must not see a difference."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from crossent.run import children, launch, on_import, summary
from crossent.run.counting import Counts
from crossent.run.launch import Program
from programs import LOSSES, PROBE, RUN, counted, environment, run, start, without_report, write

# ------------------------------------------------------------------------------------------ as under plain python


def make_script(folder: Path) -> list[str]:
    write(folder, "sub/probe.py", PROBE)
    return ["sub/probe.py", "--flag", "-m", "--losses", "torch", "--", "last arg"]


def make_module(folder: Path) -> list[str]:
    write(folder, "package/__init__.py", "import sys; argv_at_import = list(sys.argv); print(argv_at_import)")
    write(folder, "package/probe.py", PROBE)
    return ["-m", "package.probe", "-m", "--json", "x"]


def make_package(folder: Path) -> list[str]:
    write(folder, "package/__init__.py", "")
    write(folder, "package/__main__.py", PROBE)
    return ["-m", "package", "a"]


def make_folder(folder: Path) -> list[str]:
    write(folder, "application/__main__.py", PROBE)
    return ["application", "a"]


def make_zip(folder: Path) -> list[str]:
    with zipfile.ZipFile(folder / "application.zip", "w") as archive:
        archive.writestr("__main__.py", PROBE)
    return ["application.zip", "a"]


def make_compiled(folder: Path) -> list[str]:
    import py_compile

    source = write(folder, "probe.py", PROBE)
    py_compile.compile(str(source), cfile=str(folder / "compiled.pyc"))
    return ["compiled.pyc"]


def make_link(folder: Path) -> list[str]:
    target = write(folder, "real/probe.py", PROBE)
    (folder / "link.py").symlink_to(target)
    return ["./link.py"]


MAKERS = [make_script, make_module, make_package, make_folder, make_zip, make_compiled, make_link]


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_a_program_sees_no_difference(tmp_path: Path, make: Callable[[Path], list[str]]) -> None:
    arguments = make(tmp_path)
    plain, ours = start([sys.executable, *arguments], tmp_path, "typed\n"), run(tmp_path, *arguments, input="typed\n")
    assert plain.returncode == ours.returncode == 0, ours.stderr
    *first_plain, seen_plain = plain.stdout.splitlines()
    *first_ours, seen_ours = ours.stdout.splitlines()
    assert first_ours == first_plain
    assert json.loads(seen_ours) == json.loads(seen_plain)
    assert ours.stderr == "crossent run: no loss calls; the program did not import torch\n"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="-P is new in 3.11")
def test_safe_path_adds_nothing_to_sys_path(tmp_path: Path) -> None:
    arguments = make_script(tmp_path)
    plain = start([sys.executable, "-P", *arguments], tmp_path)
    ours = start([sys.executable, "-P", *RUN[1:], *arguments], tmp_path)
    assert json.loads(ours.stdout) == json.loads(plain.stdout)


ENDINGS = {
    "exit 3": "import sys; sys.exit(3)",
    "exit None": "import sys; sys.exit()",
    "exit text": "import sys; sys.exit('a last word')",
    "exception": "def f(): 1 / 0\nf()",
    "chained": "try:\n    {}['a']\nexcept KeyError as e:\n    raise ValueError('b') from e",
    "syntax": "x = 1\nif x:\nprint(x)",
    "bytes": "x = '\\0' + 1",
    "own hook": "import sys\nsys.excepthook = lambda kind, value, _: print('hook', kind, value)\nraise OSError('x')",
    "interrupt": "raise KeyboardInterrupt",
    "at exit": "import atexit, sys\natexit.register(print, 'the last line')\nsys.exit(4)",
    "os._exit": "import os; os._exit(5)",
    "thread": "import threading, time\nthreading.Thread(target=lambda: (time.sleep(0.2), print('late'))).start()",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_ends_as_under_plain_python(tmp_path: Path, ending: str) -> None:
    write(tmp_path, "script.py", ENDINGS[ending])
    plain, ours = start([sys.executable, "script.py"], tmp_path), run(tmp_path, "script.py")
    assert (ours.returncode, ours.stdout) == (plain.returncode, plain.stdout)
    assert without_report(ours.stderr) == plain.stderr
    assert ("crossent run: " in ours.stderr) == (ending != "os._exit")


def test_a_module_that_raises_shows_no_frame_of_ours(tmp_path: Path) -> None:
    write(tmp_path, "broken.py", "raise ValueError('here')")
    done = run(tmp_path, "-m", "broken")
    assert done.returncode == 1
    assert "broken.py" in done.stderr and "crossent/" not in done.stderr.replace(os.sep, "/")


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to another process")
def test_control_c_ends_the_process_by_the_signal(tmp_path: Path) -> None:
    write(tmp_path, "script.py", "import time; print('up', flush=True); time.sleep(60)")
    process = subprocess.Popen(
        [*RUN, "script.py"], cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored in a shell's background
    )  # fmt: skip
    assert process.stdout is not None and process.stdout.readline() == "up\n"
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGINT
    assert "KeyboardInterrupt" in stderr and stderr.endswith("did not import torch\n")


def test_functions_of_main_can_be_pickled(tmp_path: Path) -> None:
    text = "import pickle\nclass Point: pass\nassert type(pickle.loads(pickle.dumps(Point()))) is Point\nprint('fine')"
    write(tmp_path, "script.py", text)
    assert run(tmp_path, "script.py").stdout == "fine\n"


def test_environment_set_before_the_import_of_torch_counts(tmp_path: Path) -> None:
    text = "import os\nos.environ['OMP_NUM_THREADS'] = '1'\nimport torch\nprint(torch.get_num_threads())"
    write(tmp_path, "script.py", text)
    done = run(tmp_path, "script.py", OMP_NUM_THREADS="2")
    assert done.stdout == "1\n"
    assert done.stderr == "crossent run: no loss calls\n"


# ---------------------------------------------------------------------------------------------- unusable programs


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere.py"], "there is no file 'nowhere.py'"),
        (["nowhere"], "crossent run -m nowhere"),
        (["empty"], "is a folder without a __main__.py"),
        (["-m", "nowhere"], "there is no module 'nowhere'"),
        (["-m", "nowhere.inside"], "there is no module 'nowhere'"),
        (["-m", "empty"], "has no __main__.py"),
        (["-m", "script.py"], "Write: crossent run script.py"),
        (["-m", "a-b"], "'a-b' is none"),
        (["--losses", "keras", "script.py"], "--losses is 'keras'; expected crossent or torch"),
        (["--json", "no/folder/x.json", "script.py"], "there is no folder"),
        (["--json", "empty", "script.py"], "cannot be written"),
        (["--nonsense", "script.py"], "No such option"),
        ([], "Missing argument"),
    ],
)
def test_what_cannot_run_is_refused_with_status_2(tmp_path: Path, arguments: list[str], words: str) -> None:
    write(tmp_path, "script.py", "print('ran')")
    write(tmp_path, "empty/__init__.py", "")
    done = run(tmp_path, *arguments, COLUMNS="200")
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_a_module_whose_package_is_broken_shows_that_error(tmp_path: Path) -> None:
    write(tmp_path, "package/__init__.py", "import not_there_at_all")
    write(tmp_path, "package/inside.py", "")
    done = run(tmp_path, "-m", "package.inside")
    assert done.returncode == 1
    assert "ModuleNotFoundError: No module named 'not_there_at_all'" in done.stderr


# ------------------------------------------------------------------------------------------------------- counting

TRAINING = (
    LOSSES
    + """
import torch.nn as nn
losses(3)
losses(1, rows=16)
nn.CrossEntropyLoss()(torch.randn(90000, 3), torch.zeros(90000, dtype=torch.long))
if hasattr(F, "linear_cross_entropy"):  # whether or not it calls cross_entropy for it, it is one call
    F.linear_cross_entropy(torch.randn(6, 8), torch.randn(5, 8), torch.arange(6) % 5)
nn.NLLLoss()(nn.LogSoftmax(1)(torch.randn(4, 3)), torch.zeros(4, dtype=torch.long))
print(F.cross_entropy.__module__)
"""
)


def kinds(counts: dict[str, Any]) -> dict[tuple[Any, ...], int]:
    return {(row["function"], tuple(row["shape"])): row["calls"] for row in counts["served"]}


@pytest.mark.parametrize("losses", ["crossent", "torch"])
def test_counts_every_call(tmp_path: Path, losses: str) -> None:
    write(tmp_path, "script.py", TRAINING)
    counts, done = counted(tmp_path, "--losses", losses, "script.py")
    linear = {("linear_cross_entropy", (6, 5)): 1} if hasattr(torch.nn.functional, "linear_cross_entropy") else {}
    assert kinds(counts) == {
        ("cross_entropy", (8, 5)): 3,
        ("cross_entropy", (16, 5)): 1,
        ("cross_entropy", (90000, 3)): 1,
        ("log_softmax", (4, 3)): 1,
        ("nll_loss", (4, 3)): 1,
        **linear,
    }
    home = {"crossent": "crossent.functional", "torch": "crossent.run.torch_counted"}[losses]
    assert done.stdout == f"{home}\n"
    by = {tuple(row["shape"]): row["by"] for row in counts["served"]}
    assert by[90000, 3] in ({"torch"} if losses == "torch" else {"cpu", "reference"}), "too large for a small call"
    line = done.stderr.splitlines()[-1]
    assert line.startswith(f"crossent run: {7 + len(linear)} loss calls: cross_entropy (8, 5) float32 x 3, ")
    assert f"and {2 + len(linear)} other shapes; served by " in line


def test_the_reason_of_a_handed_over_call_is_told(tmp_path: Path) -> None:
    text = "y = torch.arange(4)\ntorch.func.vmap(lambda z: F.cross_entropy(z, y))(torch.randn(2, 4, 5))"
    write(tmp_path, "script.py", LOSSES + text)
    counts, done = counted(tmp_path, "script.py")
    assert [(row["by"], row["reason"]) for row in counts["served"]] == [("composite", "torch.func transform")]
    assert "served by composite 1 (torch.func transform)" in done.stderr


def test_replaced_by_another_library_is_told(tmp_path: Path) -> None:
    write(tmp_path, "script.py", LOSSES + "losses(1)\nF.cross_entropy = lambda *a, **k: None")
    done = run(tmp_path, "script.py")
    assert "note: torch.nn.functional.cross_entropy was replaced by __main__.<lambda> during the run" in done.stderr


def test_graphs_of_torch_compile_are_told(tmp_path: Path) -> None:
    """Where crossent's operator stands in the graph it is counted; what was compiled into it is not."""
    text = """
loss = torch.nn.CrossEntropyLoss()
x, y = torch.randn(8, 5, requires_grad=True), torch.arange(8) % 5
compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
print(abs(compiled(x, y).item() - (x.logsumexp(1) - x[torch.arange(8), y]).mean().item()) < 1e-6)
"""
    write(tmp_path, "script.py", LOSSES + text)
    for losses in ("crossent", "torch"):
        counts, done = counted(tmp_path, "--losses", losses, "script.py")
        assert done.stdout == "True\n"
        assert counts["compiled_graphs"] == 1
        assert counts["calls"] in ({0} if losses == "torch" else {0, 1})
        assert "note: torch.compile made 1 graph: " in done.stderr


def test_scripted_losses_work_while_torch_is_counted(tmp_path: Path) -> None:
    text = """
class Model(torch.nn.Module):
    def forward(self, x, y):
        return F.nll_loss(F.log_softmax(x, dim=1), y) + F.cross_entropy(x, y, label_smoothing=0.1)
x, y = torch.randn(8, 5), torch.arange(8) % 5
torch.testing.assert_close(torch.jit.script(Model())(x, y), Model()(x, y))
print("equal")
"""
    write(tmp_path, "script.py", LOSSES + text)
    for losses in ("crossent", "torch"):
        done = run(tmp_path, "--losses", losses, "script.py")
        assert (done.returncode, done.stdout) == (0, "equal\n"), done.stderr


# ---------------------------------------------------------------------------------------------------- the pieces


@pytest.mark.parametrize(
    ("command", "unseen"),
    [
        (["/usr/bin/python3.12", "train.py"], True),
        (["torchrun", "train.py"], True),
        (["C:\\x\\python.exe".replace("\\", os.sep), "-c", "pass"], True),
        (["python", "-m", "crossent", "run", "train.py"], False),
        (["python", "/site/torch/_inductor/compile_worker/__main__.py"], False),
        (["gcc", "python.c"], False),
        (["pythonic", "x"], False),
        ([], False),
    ],
)
def test_which_commands_count_as_not_seen(command: list[str], unseen: bool) -> None:
    assert children.is_unseen_python(command) == unseen


def test_counts_can_be_added_after_a_trip_through_json() -> None:
    counts = Counts()
    row = {"function": "nll_loss", "shape": [2, 3], "dtype": "float32", "by": "cpu", "reason": None, "calls": 4}
    counts.add([row])
    counts.add(json.loads(json.dumps(counts.rows())))
    assert counts.rows() == [{**row, "calls": 8}]


def test_counts_lose_nothing_between_threads() -> None:
    from threading import Thread
    from types import SimpleNamespace

    counts = Counts()
    served = SimpleNamespace(function="nll_loss", shape=(1,), dtype="torch.float32", by="cpu", reason=None)
    threads = [Thread(target=lambda: [counts(served) for _ in range(5000)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts.total() == 20000


def test_after_import_waits_for_a_successful_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    finders = list(sys.meta_path)
    called: list[bool] = []
    on_import.after_import("awaited", lambda: called.append(sys.modules["awaited"].ready))
    with pytest.raises(ModuleNotFoundError):
        __import__("awaited")
    path = write(tmp_path, "awaited.py", "1 / 0")
    with pytest.raises(ZeroDivisionError):
        __import__("awaited")
    assert called == []
    path.write_text("ready = True  # longer than before, so that no cached code is taken")
    awaited = __import__("awaited")
    assert called == [True]
    assert "exec_module" not in vars(awaited.__loader__)
    assert sys.meta_path == finders
    on_import.after_import("awaited", lambda: called.append(False))
    assert called == [True, False]
    del sys.modules["awaited"]


def test_programs_name_themselves() -> None:
    assert str(Program("a.py", False)) == "a.py"
    assert str(Program("a.b", True)) == "-m a.b"
    assert not launch.Program("a.b", True).is_container
    assert summary.json_path(Path("c.json")) == Path("c.json")


def test_run_itself_is_quick(tmp_path: Path) -> None:
    """No torch, no rich and no numba before the program asks: a small script starts in well under a second of ours."""
    write(tmp_path, "script.py", "import sys; print(sorted({'torch', 'numpy', 'numba', 'rich'} & set(sys.modules)))")
    began = time.perf_counter()
    assert run(tmp_path, "script.py").stdout == "[]\n"
    assert time.perf_counter() - began < 10
