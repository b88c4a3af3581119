"""Machine code of the kernels: in memory, and on disk in a folder of crossent's own.

A kernel is compiled by Numba once per machine and kept as an object file, in ``<folder>/<key>/``, where the
key hashes every source file of this package, the versions of Numba and llvmlite and the CPU's name and
features. From then on llvmlite links the file into the process and ctypes calls it: Numba is not
imported at all, which is most of the time of a first call. Numba's own cache is not used: it does not
see an edit in a function that a cached one calls, raises at import where no folder is writable, and
reads pickles.

The folder is ``$CROSSENT_CACHE_DIR``, or ``crossent`` in the user's cache folder. A file appears whole
or not at all (written under another name, then renamed) and carries a checksum, so any number of processes
may share it, and one that cannot be read is compiled again. Without a writable folder kernels are
compiled in each process. Like any program, a cache folder should be writable by its owner only.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterable, Iterator

import torch

from crossent.backends.cpu import machine
from crossent.backends.protocol import compute_dtype

# kernel -> module that holds it
KERNELS = {
    "loss_last": "rows_last",
    "grad_last": "rows_grad",
    "loss_inner": "rows_inner",
    "grad_inner": "rows_grad",
    "count": "reading",
    "read_last": "reading",
    "read_inner": "reading",
    "log_softmax_last": "rows_log_softmax",
    "log_softmax_inner": "rows_log_softmax",
    "log_softmax_grad_last": "rows_log_softmax",
    "log_softmax_grad_inner": "rows_log_softmax",
}
COMPUTE_DTYPES = {"float32": torch.float32, "float64": torch.float64}
_DTYPE_NAMES = {dtype: name for name, dtype in COMPUTE_DTYPES.items()}

# One compilation at a time, and none while the process forks (Numba and LLVM hold locks of their own).
_lock = threading.RLock()
_entries: dict[tuple[str, torch.dtype], machine.Entry] = {}


def entry(kernel: str, dtype: torch.dtype) -> machine.Entry:
    """``entry(scratch, packed arguments, first, last)`` of a kernel, loaded or compiled on first use."""
    found = _entries.get((kernel, dtype))
    return found if found is not None else _prepare(kernel, dtype)[0]


def warmup(dtypes: Iterable[torch.dtype] = COMPUTE_DTYPES.values()) -> int:
    """Compile every kernel that is not cached yet for logits of these dtypes, on all cores; how many were compiled."""
    names = sorted({_DTYPE_NAMES[compute_dtype(dtype)] for dtype in dtypes})
    wanted = [(kernel, name) for name in names for kernel in KERNELS]
    base = folder()
    missing = [pair for pair in wanted if base is None or _read(base / _file(*pair)) is None]
    helpers = _start_helpers(missing) if base is not None else []
    try:
        for kernel, name in wanted:
            _prepare(kernel, COMPUTE_DTYPES[name])
    finally:
        for helper in helpers:
            helper.wait()
    return len(missing)


def _start_helpers(missing: list[tuple[str, str]]) -> list[subprocess.Popen[bytes]]:
    """Processes that compile from the end of the list while this one compiles from its beginning."""
    helpers = min((os.cpu_count() or 1) - 1, len(missing) // 6)
    code = "import sys; from crossent.backends.cpu import cache; cache.compile_missing(sys.argv[1:])"
    names = [f"{kernel}:{name}" for kernel, name in reversed(missing)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    started: list[subprocess.Popen[bytes]] = []
    for k in range(max(helpers, 0)):
        command = [sys.executable, "-c", code, *names[k::helpers]]
        with contextlib.suppress(OSError):  # no processes here: this one compiles everything
            started.append(subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL))
    return started


def compile_missing(names: list[str]) -> None:
    """Compile the named kernels as long as nobody else has (``warmup`` runs it in helper processes)."""
    for pair in names:
        kernel, _, name = pair.partition(":")
        base = folder()
        if base is None or _read(base / _file(kernel, name)) is not None:
            return  # the others have come this far from the other end
        _prepare(kernel, COMPUTE_DTYPES[name])


def folder() -> pathlib.Path | None:
    """Where kernels are cached, or None where no folder is writable (one warning)."""
    with _lock:
        return _folder(os.environ.get("CROSSENT_CACHE_DIR"))


@functools.lru_cache(maxsize=4)
def _folder(asked: str | None) -> pathlib.Path | None:
    parent = pathlib.Path(asked) if asked else _user_cache() / "crossent"
    try:
        path = parent / _key()
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return path
    except OSError as error:
        warnings.warn(
            f"crossent cannot keep its compiled CPU kernels in {parent} ({error.strerror or error}); they will be "
            "compiled again in every process. Set CROSSENT_CACHE_DIR to a writable folder.",
            RuntimeWarning,
            stacklevel=2,
        )
        return None


def _user_cache() -> pathlib.Path:
    if sys.platform == "win32":
        return pathlib.Path(os.environ.get("LOCALAPPDATA") or pathlib.Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return pathlib.Path.home() / "Library" / "Caches"
    return pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")


def _key() -> str:
    """Hash of all that machine code depends on."""
    digest = hashlib.sha256()
    for name, source in _sources():
        digest.update(f"{name}\0{len(source)}\0".encode() + source)
    settings = tuple(os.environ.get(name, "") for name in ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES", "NUMBA_OPT"))
    about = (machine.compiler_versions(), machine.cpu(), settings, platform.machine(), sys.platform)
    digest.update(repr((about, platform.python_version())).encode())
    return digest.hexdigest()[:24]


def _sources() -> Iterator[tuple[str, bytes]]:
    """Every source file of this package, also from a zip archive."""
    from importlib.resources import files

    for item in sorted(files(__package__).iterdir(), key=lambda item: item.name):
        if item.name.endswith(".py"):
            yield item.name, item.read_bytes()


def _file(kernel: str, name: str) -> str:
    return f"{kernel}-{name}.o"


def _read(path: pathlib.Path) -> bytes | None:
    """The object code in a file, or None if it is missing or was cut short."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    return data[32:] if hashlib.sha256(data[32:]).digest() == data[:32] else None


def _write(path: pathlib.Path, code: bytes) -> None:
    """Keep object code; a full disk is no error."""
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.stem, delete=False) as file:
            file.write(hashlib.sha256(code).digest() + code)
        os.replace(file.name, path)
    except OSError:
        return


def _prepare(kernel: str, dtype: torch.dtype) -> tuple[machine.Entry, bool]:
    """The entry point, and whether it had to be compiled."""
    with _lock:
        found = _entries.get((kernel, dtype))
        if found is not None:
            return found, False
        base, name = folder(), _DTYPE_NAMES[dtype]
        code = _read(base / _file(kernel, name)) if base is not None else None
        compiled = code is None
        if code is None:
            with _Notice():
                function = getattr(importlib.import_module(f"{__package__}.{KERNELS[kernel]}"), kernel)
                code = importlib.import_module(f"{__package__}.compiling").object_code(function, name)
            if base is not None:
                _write(base / _file(kernel, name), code)
        found = _entries[kernel, dtype] = machine.load(code)
        return found, compiled


class _Notice:
    """Says on a terminal what is taking so long, after two seconds."""

    said = False

    def __enter__(self) -> None:
        on_terminal = sys.stderr is not None and sys.stderr.isatty()  # pyright: ignore[reportUnnecessaryComparison]
        self.timer = threading.Timer(2.0, self._say) if on_terminal and not _Notice.said else None
        if self.timer:
            self.timer.daemon = True
            self.timer.start()

    def __exit__(self, *_: object) -> None:
        if self.timer:
            self.timer.cancel()

    @staticmethod
    def _say() -> None:
        _Notice.said = True
        text = "crossent: compiling CPU kernels, once per machine (`crossent warmup` does it ahead) ..."
        print(text, file=sys.stderr)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)
