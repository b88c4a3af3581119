"""The command line: what it lists, what it loads, and what it says about the installation."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import crossent
from crossent import cli
from crossent.run import launch

ROOT = str(Path(crossent.__file__).resolve().parent.parent)


def call(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([*more.pop("first", "").split(), ROOT, os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, **more}
    command = [sys.executable, "-m", "crossent", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_help_names_every_command(arguments: tuple[str, ...]) -> None:
    done = CliRunner().invoke(cli.app, arguments)
    assert all(f" {row.name} " in done.output for row in cli.ROWS)


def test_every_row_has_a_command_with_a_help_text() -> None:
    assert len({row.name for row in cli.ROWS}) == len(cli.ROWS)
    for row in cli.ROWS:
        assert importlib.import_module(row.module).command.__doc__


def test_version() -> None:
    done = call("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"crossent {crossent.__version__}\n", "")


@pytest.mark.parametrize(
    "arguments", [("nonsense",), ("env", "--nonsense"), ("env", "extra"), ("warmup", "--dtype", "int8")]
)
def test_wrong_use_is_status_2(arguments: tuple[str, ...]) -> None:
    done = call(*arguments)
    assert done.returncode == 2
    assert done.stdout == "" and arguments[-1] in done.stderr and "Traceback" not in done.stderr


def test_the_command_line_itself_loads_no_torch() -> None:
    text = "import crossent.cli; print(sorted({'torch', 'numpy', 'numba', 'matplotlib', 'sklearn'} & set(sys.modules)))"
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {ROOT!r}); {text}"]
    assert subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout == "[]\n"


def test_a_call_leaves_the_excepthook_and_exits(monkeypatch: pytest.MonkeyPatch) -> None:
    before = sys.excepthook
    monkeypatch.setattr(sys, "argv", ["crossent", "--version"])
    with pytest.raises(SystemExit) as end:
        cli.app()
    assert end.value.code == 0
    assert sys.excepthook is before


def test_run_starts_only_after_the_command_line_is_done(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("raise RuntimeError('ran')")
    assert CliRunner().invoke(cli.app, ["run", str(script)]).exit_code == 0
    assert len(launch.pending) == 1
    launch.pending.clear()


def test_env_as_text() -> None:
    done = call("env")
    assert done.returncode == 0, done.stderr
    facts = dict(line.split("  ", 1) for line in done.stdout.splitlines())
    assert facts["crossent"].strip() == crossent.__version__
    assert facts["backends reference"].strip() == "available"
    assert {"python", "torch", "numba", "triton", "numpy", "os", "cpu", "threads", "devices"} <= set(facts)


def test_env_as_json() -> None:
    facts = json.loads(call("env", "--json").stdout)
    assert set(facts["backends"]) == {"reference", "cpu", "gpu"}
    assert "cpu" in facts["devices"]


def test_env_works_where_torch_is_broken(tmp_path: Path) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise OSError('libtorch_cpu.so: cannot open shared object file')")
    done = call("env", first=str(tmp_path))
    assert done.returncode == 0
    assert "OSError: libtorch_cpu.so" in done.stdout


def test_warmup_says_what_is_ready_or_why_not() -> None:
    done = call("warmup", "--dtype", "float32")
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        assert line.split(": ")[1].startswith(("ready after ", "not available"))
    said = [line.split(": ")[0] for line in done.stdout.splitlines()]
    assert said == ["cpu", "cpu float32", "gpu"], done.stdout  # the kernels, the losses; no device
