"""The cache of compiled kernels: found again, made again when anything it depends on changes, never in the way."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytest.importorskip("numba")

from crossent.backends.cpu import cache

# One small kernel: compiling it takes a second.
SMALL = """
    import sys, warnings
    import torch
    from crossent.backends import cpu
    from crossent.backends.protocol import RowProblem
    rows = RowProblem(
        logits=torch.randn(6, 5, 1), target=torch.randint(0, 5, (6, 1)), skip=3, class_weight=None, on=1.0, off=0.0
    )
    count = cpu.count_rows(rows, None)
    assert count.rows.item() == (rows.target != 3).sum().item()
    print("numba" in sys.modules)
"""


def python(body: str, folder: Path, *, flags: tuple[str, ...] = (), source: Path | None = None) -> tuple[str, str]:
    """stdout and stderr of a body in a process of its own with the given cache folder."""
    path = [str(source)] if source else []
    path += [entry for entry in sys.path if entry]
    environment = {**os.environ, "CROSSENT_CACHE_DIR": str(folder), "PYTHONPATH": os.pathsep.join(path)}
    command = [sys.executable, *flags, "-c", textwrap.dedent(body)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip(), result.stderr


def objects(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.o"))


def test_compiled_once(tmp_path: Path) -> None:
    """The second process finds the kernel and does not even import Numba."""
    assert python(SMALL, tmp_path)[0] == "True"
    before = [(path, path.stat().st_mtime_ns) for path in objects(tmp_path)]
    assert [path.name for path, _ in before] == ["count-float32.o"]
    assert python(SMALL, tmp_path)[0] == "False"
    assert [(path, path.stat().st_mtime_ns) for path in objects(tmp_path)] == before


def test_a_broken_file_is_made_again(tmp_path: Path) -> None:
    python(SMALL, tmp_path)
    (path,) = objects(tmp_path)
    whole = path.read_bytes()
    for broken in (b"", whole[: len(whole) // 2], whole[:-1] + bytes([whole[-1] ^ 1])):
        path.write_bytes(broken)
        assert python(SMALL, tmp_path)[0] == "True"
        data = path.read_bytes()
        assert hashlib.sha256(data[32:]).digest() == data[:32]


def test_an_edited_callee_is_seen(tmp_path: Path) -> None:
    """Numba's own cache would serve the old code: the edit is in a file that the kernel only calls into."""
    package = Path(cache.__file__).resolve().parents[2]
    source = tmp_path / "source"
    shutil.copytree(package, source / "crossent", ignore=shutil.ignore_patterns("__pycache__"))
    python(SMALL, tmp_path / "cache", source=source)
    assert len(objects(tmp_path / "cache")) == 1
    edited = source / "crossent" / "backends" / "cpu" / "places.py"
    edited.write_text(edited.read_text(encoding="utf-8") + "\n# an edit\n", encoding="utf-8")
    assert python(SMALL, tmp_path / "cache", source=source)[0] == "True"
    assert len({path.parent for path in objects(tmp_path / "cache")}) == 2


@pytest.mark.parametrize("what", ["NUMBA_CPU_FEATURES", "NUMBA_OPT"])
def test_settings_of_the_compiler_are_part_of_the_key(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = cache._key()
    monkeypatch.setenv(what, "+other")
    assert cache._key() != before


def test_an_unwritable_folder_costs_one_warning(tmp_path: Path) -> None:
    """Kernels are compiled in memory. (A file stands where the folder should be: root may write anywhere.)"""
    blocked = tmp_path / "file"
    blocked.write_text("")
    again = SMALL + "    cpu.count_rows(rows, None); cpu.row_read(rows); cpu.row_read(rows)\n"
    out, err = python(again, blocked / "cache")
    assert out == "True"
    assert err.count("RuntimeWarning") == 1 and "CROSSENT_CACHE_DIR" in err


def test_processes_at_once(tmp_path: Path) -> None:
    """Six processes start with an empty folder: all get the answer, one whole file remains."""
    environment = {
        **os.environ,
        "CROSSENT_CACHE_DIR": str(tmp_path),
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    command = [sys.executable, "-c", textwrap.dedent(SMALL)]
    running = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(6)
    ]
    for process in running:
        _, err = process.communicate(timeout=280)
        assert process.returncode == 0, err.decode()
    names = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert names == ["count-float32.o"]


def test_nothing_else_is_touched(tmp_path: Path) -> None:
    """Numba's settings and the user's own cached functions stay where they were."""
    body = SMALL + textwrap.indent(
        textwrap.dedent(
            """
            import numba
            from numba.core import config
            assert config.CACHE_DIR == ""
            """
        ),
        "    ",
    )
    python(body, tmp_path)


@pytest.mark.slow
def test_warmup(tmp_path: Path) -> None:
    """All kernels, each once, on all cores; a second time there is nothing to do and it takes a moment."""
    body = """
        import time
        import torch
        from crossent.backends import cpu
        seen = []
        began = time.perf_counter()
        compiled = cpu.warmup(lambda *step: seen.append(step))
        print(compiled, len(seen), seen[-1][1] == seen[-1][2] == len(seen), time.perf_counter() - began)
    """
    compiled, steps, complete, _ = python(body, tmp_path)[0].split()
    assert (int(compiled), int(steps), complete) == (2 * len(cache.KERNELS), 2 * len(cache.KERNELS), "True")
    assert len(objects(tmp_path)) == int(steps)
    compiled, steps, _, seconds = python(body, tmp_path)[0].split()
    assert (int(compiled), int(steps)) == (0, 2 * len(cache.KERNELS))
    assert float(seconds) < 5


def test_first_call_is_quick(tmp_path: Path) -> None:
    """With a warm cache the first call takes a moment (0.1 s on a quiet machine; the bound allows for a busy one)."""
    timed = """
        import time, sys
        import torch
        began = time.perf_counter()
    """
    python(SMALL, tmp_path)
    out, _ = python(textwrap.dedent(timed) + textwrap.dedent(SMALL) + "print(time.perf_counter() - began)", tmp_path)
    assert float(out.split()[-1]) < 2.0


def test_importing_the_engine_imports_no_numba(tmp_path: Path) -> None:
    assert (
        python("import sys; from crossent.backends import cpu; print('numba' in sys.modules)", tmp_path)[0] == "False"
    )
