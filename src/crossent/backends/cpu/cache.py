"""Compiled kernels: in memory, and on disk in a folder of crossent's own.

Numba's own file cache does not see an edit in a function that a cached one calls, and raises at import
where no folder is writable. So kernels get a cache object of ours: one file per kernel and compute type,
in ``<folder>/<key>/``, where the key hashes every source file of this package, the versions of Numba
and Python and the CPU's name and features. Nothing else in the process is touched: Numba's settings and
the caches of other packages stay as they are.

The folder is ``$CROSSENT_CACHE_DIR``, or ``crossent`` in the user's cache folder. A file appears whole
or not at all (written under another name, then renamed), so any number of processes may share it; a file
that cannot be read is compiled again. Without a writable folder kernels are compiled in each process.

Files are pickles: like Numba's, a cache folder must be writable by its owner only.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import os
import pathlib
import pickle
import platform
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator

import torch

# kernel -> module that holds it; its signature is the module's SIGNATURES entry.
KERNELS = {
    "loss_last": "rows_last",
    "grad_last": "rows_last",
    "loss_inner": "rows_inner",
    "grad_inner": "rows_inner",
    "count": "reading",
    "read_last": "reading",
    "read_inner": "reading",
    "log_softmax_last": "rows_log_softmax",
    "log_softmax_inner": "rows_log_softmax",
    "log_softmax_grad_last": "rows_log_softmax",
    "log_softmax_grad_inner": "rows_log_softmax",
}
COMPUTE_DTYPES = (torch.float32, torch.float64)

_lock = threading.RLock()  # one compilation at a time, and none while the process forks
_entries: dict[tuple[str, torch.dtype], Callable] = {}


def entry(kernel: str, dtype: torch.dtype) -> Callable:
    """The machine code of a kernel for a compute type: loaded or compiled on first use."""
    found = _entries.get((kernel, dtype))
    return found if found is not None else _prepare(kernel, dtype)[0]


def warmup(progress: Callable[[str, int, int, bool], None] | None = None) -> int:
    """Compile every kernel that is not cached yet; how many were compiled.

    ``progress(name, done, total, compiled)`` is called after each.
    """
    wanted = [(kernel, dtype) for dtype in COMPUTE_DTYPES for kernel in KERNELS]
    compiled = 0
    for done, (kernel, dtype) in enumerate(wanted, start=1):
        was_compiled = _prepare(kernel, dtype)[1]
        compiled += was_compiled
        if progress is not None:
            progress(f"{kernel} {str(dtype).removeprefix('torch.')}", done, len(wanted), was_compiled)
    return compiled


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
    import llvmlite
    import llvmlite.binding
    import numba

    digest = hashlib.sha256()
    for name, source in _sources():
        digest.update(f"{name}\0{len(source)}\0".encode() + source)
    cpu = (llvmlite.binding.get_host_cpu_name(), llvmlite.binding.get_host_cpu_features().flatten())
    about = (numba.__version__, llvmlite.__version__, platform.python_version(), sys.abiflags if os.name != "nt" else "", *cpu)
    settings = tuple(os.environ.get(name, "") for name in ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES", "NUMBA_OPT"))
    digest.update(repr((about, settings, platform.machine(), sys.platform)).encode())
    return digest.hexdigest()[:24]


def _sources() -> Iterator[tuple[str, bytes]]:
    """Every source file of this package, also from a zip archive."""
    from importlib.resources import files

    for item in sorted(files(__package__).iterdir(), key=lambda item: item.name):
        if item.name.endswith(".py"):
            yield item.name, item.read_bytes()


class _File:
    """The cache of one kernel, in the form Numba's dispatchers ask for (numba.core.caching._Cache)."""

    def __init__(self, kernel: str) -> None:
        self.kernel = kernel
        self.compiled = False

    def _path(self, signature) -> pathlib.Path | None:
        base = folder()
        kind = "float64" if "Pointer(float64)" in str(signature) else "float32"
        return None if base is None else base / f"{self.kernel}-{kind}.bin"

    def load_overload(self, signature, target_context):
        """The compiled kernel from its file, or None."""
        target_context.refresh()
        path = self._path(signature)
        try:
            data = path.read_bytes() if path else b""
        except OSError:
            data = b""
        if hashlib.sha256(data[32:]).digest() != data[:32]:
            return None  # missing, or cut short by a full disk
        from numba.core.compiler import CompileResult

        return CompileResult._rebuild(target_context, *pickle.loads(data[32:]))

    def save_overload(self, signature, result) -> None:
        """Keep a compiled kernel; a full disk is no error."""
        self.compiled = True
        path = self._path(signature)
        if path is None:
            return
        from numba.core.serialize import dumps

        data = dumps(result._reduce())
        try:
            with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.stem, delete=False) as file:
                file.write(hashlib.sha256(data).digest() + data)
            os.replace(file.name, path)
        except OSError:
            return

    def enable(self) -> None: ...
    def disable(self) -> None: ...
    def flush(self) -> None: ...

    @property
    def cache_path(self) -> str:
        return str(folder())


def _prepare(kernel: str, dtype: torch.dtype) -> tuple[Callable, bool]:
    """The entry point, and whether it had to be compiled."""
    with _lock:
        found = _entries.get((kernel, dtype))
        if found is not None:
            return found, False
        module = importlib.import_module(f"{__package__}.{KERNELS[kernel]}")
        pointers = importlib.import_module(f"{__package__}.pointers")
        dispatcher = getattr(module, kernel)
        pointer = pointers.float64_p if dtype == torch.float64 else pointers.float32_p
        signature = module.SIGNATURES[kernel](pointer)
        file = _File(kernel)
        dispatcher._cache = file
        with _Notice(kernel):
            dispatcher.compile(signature)
        found = dispatcher.overloads[signature.args].entry_point
        _entries[kernel, dtype] = found
        return found, file.compiled


class _Notice:
    """Says on a terminal what is taking so long, after two seconds."""

    said = False

    def __init__(self, kernel: str) -> None:
        self.timer = threading.Timer(2.0, self._say) if sys.stderr and sys.stderr.isatty() else None

    def __enter__(self) -> None:
        if self.timer and not _Notice.said:
            self.timer.daemon = True
            self.timer.start()

    def __exit__(self, *_) -> None:
        if self.timer:
            self.timer.cancel()

    @staticmethod
    def _say() -> None:
        _Notice.said = True
        print("crossent: compiling CPU kernels, once per machine (`crossent warmup` does it ahead) ...", file=sys.stderr)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)
