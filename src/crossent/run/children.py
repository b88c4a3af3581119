"""Processes that the program starts, and what is known of their losses.

=================================  =========================================================================
started by                         its losses
=================================  =========================================================================
``multiprocessing`` spawn or       replaced and counted: what the parent sends to prepare the child carries a
forkserver, ``torch.multiprocessing``  call of :func:`join`, which runs before the child's main module
fork (DataLoader workers, pools)   replaced and counted: the child inherits everything
``subprocess``, ``os.system``, ... not replaced; those that start Python are counted as *not seen*
``loky``, Ray, other launchers     not replaced, not noticed, unless they use one of the above
=================================  =========================================================================

With ``--doctor`` those whose losses are counted are watched, too; what is found in them is in the report at the end.

No environment variable, ``sitecustomize`` or ``.pth`` file: a Python that the program starts for another
purpose is never changed behind its back. ``torchrun ... -m crossent run script.py`` runs crossent in every
rank, and each reports.

A child writes its counts to ``<folder>/<pid>-<n>.json`` at its first loss call, then at most once a
second, and at its end; one that is killed is thus known, and short of a second's calls at most.
"""

from __future__ import annotations

import atexit
import itertools
import json
import multiprocessing.spawn
import multiprocessing.util
import os
import re
import runpy
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from crossent.run.counting import Counts
from crossent.run.doctoring import Doctoring, Wish

PYTHON = re.compile(r"(python|pypy|torchrun|accelerate|deepspeed)[\d.]*(\.exe)?$", re.IGNORECASE)
STARTING = frozenset({"subprocess.Popen", "os.posix_spawn", "os.spawn", "os.system", "os.exec"})
SPAWNED_FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_spawned.py")
SECONDS_BETWEEN_WRITES = 1.0


class Family:
    """The processes of one ``crossent run``, seen from one of them."""

    def __init__(self, folder: str, losses: str, is_root: bool, doctoring: Doctoring | None = None) -> None:
        self.folder = folder
        self.losses = losses
        self.doctoring = doctoring
        self.root_pid = os.getpid() if is_root else None
        self.counts = Counts(after_call=None if is_root else self.write_now_and_then)
        self.not_seen: list[str] = []  # command lines of Python processes that nothing counts
        self.before_exec: Callable[[], None] = lambda: self.write(finished=True)
        self._file: Path | None = None
        self._written = 0.0

    @property
    def is_root(self) -> bool:
        return os.getpid() == self.root_pid

    def write_now_and_then(self) -> None:
        if time.monotonic() - self._written >= SECONDS_BETWEEN_WRITES:
            self.write(finished=False)

    def write(self, finished: bool) -> None:
        """Leave this child's counts to the root; a folder that is gone (the root has ended) is no error."""
        if self.is_root or (self._file is None and not self.counts.total() and not self.not_seen):
            return
        if self._file is None:
            self._file = next(path for n in itertools.count() if not (path := self._path(n)).exists())
        self._written = time.monotonic()
        text = json.dumps(
            {
                "finished": finished,
                "served": self.counts.rows(),
                "not_seen": self.not_seen,
                "findings": self.doctoring.as_dicts() if self.doctoring is not None else [],
            }
        )
        try:
            part = self._file.with_suffix(".part")
            part.write_text(text, encoding="utf-8")
            part.replace(self._file)
        except OSError:
            pass

    def _path(self, n: int) -> Path:
        return Path(self.folder, f"{os.getpid()}-{n}.json")

    def restart_after_fork(self) -> None:
        self.counts.restart_after_fork()
        self.counts.after_call = self.write_now_and_then
        self.not_seen.clear()
        self.before_exec = lambda: self.write(finished=True)
        self._file = None
        self._written = 0.0

    def collect(self) -> tuple[int, int]:
        """Add the children's counts to the root's: (how many children had losses, how many did not end well)."""
        reports = self._reports()
        for report in reports:
            self.counts.add(report["served"])
            self.not_seen += report["not_seen"]
        shutil.rmtree(self.folder, ignore_errors=True)
        return sum(bool(report["served"]) for report in reports), sum(not report["finished"] for report in reports)

    def findings(self) -> list[dict[str, Any]]:
        """What the doctor found in the children, as far as they have written."""
        return [finding for report in self._reports() for finding in report["findings"]]

    def _reports(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(Path(self.folder).glob("*.json"))]


def found(losses: str, doctoring: Doctoring | None = None) -> Family:
    """Begin a family: this process is its root."""
    family = Family(tempfile.mkdtemp(prefix="crossent-run-"), losses, is_root=True, doctoring=doctoring)
    _watch(family)
    return family


def join(folder: str, losses: str, watched: tuple[int, int] | None) -> None:
    """Be a spawned child of a family; ``watched`` by the doctor: for how many steps, and every how many after them."""
    from crossent.run import losses as replacing

    doctoring = None if watched is None else Doctoring(Wish(steps=watched[0], every=watched[1]))
    family = Family(folder, losses, is_root=False, doctoring=doctoring)
    atexit.register(family.write, finished=True)
    _watch(family)
    replacing.replace_when_torch_is_there(
        family.losses, family.counts, None if doctoring is None else doctoring.begin_quietly
    )


def _watch(family: Family) -> None:
    """See to it that this process's children join, too."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=family.restart_after_fork)
    # multiprocessing's children leave through os._exit after these finalizers, so atexit is not enough.
    multiprocessing.util.register_after_fork(family, _write_at_end)
    _write_at_end(family)
    _send_along(_Joining(family))
    sys.addaudithook(_count_unseen(family))


def _write_at_end(family: Family) -> None:
    multiprocessing.util.Finalize(None, family.write, kwargs={"finished": True}, exitpriority=0)


class _Joining:
    """Unpickling this in a child makes it join: the one thing a child does before its main module."""

    def __init__(self, family: Family) -> None:
        wish = None if family.doctoring is None else family.doctoring.wish
        watched = None if wish is None else (wish.steps, wish.every)
        self.arguments = {"folder": family.folder, "losses": family.losses, "watched": watched}

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return runpy.run_path, (SPAWNED_FILE, {"join_arguments": self.arguments}, "crossent.run.spawned")


def _send_along(joining: _Joining) -> None:
    """``multiprocessing`` passes the preparation data on whole and ignores keys that it does not know."""
    prepare: Any = multiprocessing.spawn.get_preparation_data

    def get_preparation_data(name: str) -> dict[str, Any]:
        return {"crossent": joining, **prepare(name)}

    multiprocessing.spawn.get_preparation_data = get_preparation_data


def _count_unseen(family: Family) -> Callable[[str, tuple[Any, ...]], None]:
    """An audit hook: it changes nothing in the modules that start processes."""

    begun: list[
        list[str]
    ] = []  # subprocess may announce a start and make it with posix_spawn, which announces it again

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in STARTING:
            return
        command = _command(event, arguments)
        again = event == "os.posix_spawn" and command in begun
        begun[:] = [command] if event == "subprocess.Popen" else []
        if is_unseen_python(command) and not again:
            family.not_seen.append(shlex.join(command))
        if event == "os.exec":  # this process becomes another program: its last moment as ours
            family.before_exec()

    return hook


def _command(event: str, arguments: tuple[Any, ...]) -> list[str]:
    """The command line in an audit event; its place differs from event to event."""
    command: Any = arguments[{"os.system": 0, "os.spawn": 2}.get(event, 1)]
    try:
        if not isinstance(command, list | tuple):
            return shlex.split(os.fsdecode(command))
        return [os.fsdecode(part) for part in cast("list[str]", command)]
    except (TypeError, ValueError):
        return []


def is_unseen_python(command: list[str]) -> bool:
    """Whether a command line starts a Python that may compute losses: torch's and crossent's own helpers do not."""
    if not command or not PYTHON.match(os.path.basename(command[0])):
        return False
    return not any("torch._inductor" in part or "torch/_inductor" in part or part == "crossent" for part in command)
