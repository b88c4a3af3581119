"""The rows of one call on several threads: those of torch's own team (``team.py``), else a few of Python's.

Kernels release the GIL. What follows is about Python's threads.

The calling thread works too. It posts the job for the others and takes part after part itself, so a
call finishes even if no other thread ever comes (after a fork, at interpreter shutdown, while all
workers serve other callers): nothing can wait for a thread that does not exist.

Where parts begin depends on the thread count and the problem only; which thread takes a part changes no
number, since rows do not depend on one another. Numba's own threading is not used: one of its layers
aborts the process when two threads enter at once, another does not survive a fork.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
from collections.abc import Callable, Generator
from queue import SimpleQueue

import torch

from crossent.backends.cpu import machine, team

# Below this much work for one thread (ns) a second one costs more than it brings: waking takes 20-40 us.
WORTH_SHARING_NS = 100_000
# More parts than threads: a thread that is interrupted holds the others up for one part, not for its whole share.
PARTS_PER_THREAD = 4
PART_NS = 25_000  # but none shorter than this

KEPT_BYTES = 8 << 20  # working memory that a thread keeps between calls, at most

_local = threading.local()


class _Job:
    """Parts of one call; ``next`` and ``left`` are guarded by ``lock``, ``finished`` is released at the end."""

    __slots__ = ("error", "finished", "left", "lock", "next", "results", "work")

    def __init__(self, work: Callable[[int], int], parts: int) -> None:
        self.work: Callable[[int], int] | None = work
        self.next = 0
        self.left = parts
        self.results = [-1] * parts
        self.error: BaseException | None = None
        self.lock = threading.Lock()
        self.finished = threading.Lock()
        self.finished.acquire()

    def take_part(self) -> None:
        """Work on parts until none is left to begin."""
        while True:
            with self.lock:
                part = self.next
                if part >= len(self.results):
                    return
                self.next = part + 1
            try:
                assert self.work is not None  # taken away only once every part is done
                self.results[part] = self.work(part)
            except BaseException as error:
                self.error = error
            finally:
                with self.lock:
                    self.left -= 1
                    if self.left == 0:
                        self.finished.release()


class _Pool:
    """Waiting threads, started when a call first wants them."""

    def __init__(self) -> None:
        self.jobs: SimpleQueue[_Job] = SimpleQueue()
        self.workers = 0
        self.lock = threading.Lock()

    def invite(self, job: _Job, helpers: int) -> None:
        if self.workers < helpers:
            self._start(helpers)
        for _ in range(min(helpers, self.workers)):
            self.jobs.put(job)

    def _start(self, wanted: int) -> None:
        with self.lock:
            while self.workers < wanted:
                thread = threading.Thread(
                    target=_serve, args=(self.jobs,), name=f"crossent-{self.workers + 1}", daemon=True
                )
                try:
                    thread.start()
                except RuntimeError:  # no more threads, or the interpreter is shutting down
                    return
                self.workers += 1


def _serve(jobs: SimpleQueue[_Job]) -> None:
    while True:
        jobs.get().take_part()


_pool = _Pool()


def _renew() -> None:
    """After a fork only the forking thread lives on: its child starts with an empty pool."""
    global _pool
    _pool = _Pool()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


def plan(rows: int, row_ns: float, grain: int = 1) -> list[tuple[int, int]]:
    """Ranges of rows, one per part: a single one where sharing is not worth it.

    row_ns: time of one row on one thread. grain: ranges begin at multiples of it.
    """
    threads = torch.get_num_threads()
    if threads == 1 or rows <= grain or rows * row_ns < WORTH_SHARING_NS:
        return [(0, rows)]
    units = -(-rows // grain)
    parts = min(units, threads * PARTS_PER_THREAD, max(threads, int(rows * row_ns / PART_NS)))
    edges = [units * part // parts * grain for part in range(parts + 1)]
    edges[-1] = rows
    return [(a, b) for a, b in itertools.pairwise(edges) if b > a]


def share(entry: machine.Entry, packed: bytes, ranges: list[tuple[int, int]], size: int) -> list[int]:
    """A kernel on every range, with ``size`` bytes of scratch per thread; the results in the order of the ranges."""
    size = -(-size // 64) * 64
    helpers = min(len(ranges), torch.get_num_threads())
    if helpers > 1:
        with scratch(size * helpers, helpers) as address:
            edges = [ranges[0][0], *(last for _, last in ranges)]
            results = team.run(entry, packed, edges, address, size, helpers)
        if results is not None:
            return results

    def work(first: int, last: int) -> int:
        with scratch(size) as address:
            return entry(address, packed, first, last)

    return run(ranges, work)


def run(ranges: list[tuple[int, int]], work: Callable[[int, int], int]) -> list[int]:
    """``work(first, last)`` of every range, shared among threads; the results in the order of the ranges."""
    if len(ranges) == 1:
        return [work(*ranges[0])]
    job = _Job(lambda part: work(*ranges[part]), len(ranges))
    _pool.invite(job, min(len(ranges), torch.get_num_threads()) - 1)
    job.take_part()
    interrupt: BaseException | None = None
    while True:
        try:
            job.finished.acquire()
            break
        except BaseException as error:
            interrupt = error
    # A worker may still hold the job. Were it the last to hold what the work refers to, it would free tensors, and a
    # thread inside torch's deallocation aborts the process if the interpreter ends at that moment.
    job.work = None
    error = interrupt or job.error
    if error is not None:
        raise error
    return job.results


@contextlib.contextmanager
def scratch(size: int, threads: int = 1) -> Generator[int]:
    """Address of at least ``size`` bytes of this thread's own working memory (contents: anything), on a cache line.

    Kept from call to call (2 us to allocate, 100 us to touch 513 KB anew) up to KEPT_BYTES per thread that it is for.
    """
    buffer = getattr(_local, "buffer", None)
    _local.buffer = None  # a signal handler that calls in here meanwhile gets memory of its own
    if buffer is None or buffer.numel() < size + 64:
        buffer = torch.empty(max(size + 64, 1 << 16), dtype=torch.uint8)
    try:
        yield -(-buffer.data_ptr() // 64) * 64
    finally:
        if buffer.numel() <= KEPT_BYTES * threads:
            _local.buffer = buffer
