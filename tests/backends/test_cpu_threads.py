"""The CPU engine's threads: shared rows, many callers, forks, interpreter shutdown."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

pytest.importorskip("numba")

from crossent.backends import cpu
from crossent.backends.cpu import team, threads
from crossent.backends.protocol import RowProblem, TargetOutOfRange

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _thread_count() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def problem(rows: int = 600, classes: int = 1000) -> RowProblem:
    target = torch.randint(0, classes, (rows, 1))
    logits = torch.randn(rows, classes, 1)
    return RowProblem(logits=logits, target=target, skip=-100, class_weight=None, on=0.9, off=0.1 / classes)


def run(rows: RowProblem) -> tuple[Tensor, Tensor]:
    out = torch.empty_like(rows.logits)
    return cpu.row_loss_and_grad(rows, torch.tensor(1.0), None, out), out


def script(body: str, *, seconds: int = 240) -> subprocess.CompletedProcess[str]:
    """Run a body with ``rows`` (a problem worth sharing) and ``run`` in a process of its own."""
    text = """
        import os, sys, threading
        import torch
        from crossent.backends import cpu
        from crossent.backends.cpu import team
        from crossent.backends.protocol import RowProblem
        torch.set_num_threads(2)
        torch.manual_seed(0)
        target = torch.randint(0, 1000, (600, 1))
        rows = RowProblem(
            logits=torch.randn(600, 1000, 1), target=target, skip=-100, class_weight=None, on=1.0, off=0.0
        )
        exact = torch.nn.functional.cross_entropy(rows.logits, target, reduction="none")
        def run():
            out = torch.empty_like(rows.logits)
            loss = cpu.row_loss_and_grad(rows, torch.tensor(1.0), None, out)
            assert torch.allclose(loss, exact, atol=1e-5)
    """
    code = textwrap.dedent(text) + textwrap.dedent(body)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=seconds, check=False
    )


@pytest.mark.parametrize("rows", [problem(), problem(5000, 10)], ids=["by row", "by tile"])
def test_numbers_do_not_depend_on_threads(rows: RowProblem, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither on how many there are, nor on whose: torch's team or Python's."""
    first = None
    for _whose in range(2):
        for count in (1, 2, 3, 7, 2, 1):
            torch.set_num_threads(count)
            found = *run(rows), cpu.total_and_grad(rows, torch.tensor(1.0), None, torch.empty_like(rows.logits))
            first = first or found
            assert all(torch.equal(a, b) for a, b in zip(first, found, strict=True))
        monkeypatch.setattr(team, "_parallel", lambda: None)


@pytest.mark.skipif(team._parallel() is None, reason="torch's OpenMP runtime has no GOMP_parallel here")
def test_torchs_team_serves_and_only_one_caller_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(2)
    rows, served = problem(), []
    ours = team.run
    monkeypatch.setattr(team, "run", lambda *given: served.append(ours(*given)) or served[-1])
    expected = run(rows)
    assert served == [[-1] * len(served[0])] and len(served[0]) > 1
    with team._busy:
        found = run(rows)
    assert served[1:] == [None] and all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("count", [1, 2, 5])
def test_plan(count: int) -> None:
    """Every row once, in order, beginnings at the grain; the same for the same thread count."""
    torch.set_num_threads(count)
    for rows in (1, 2, 63, 64, 1000, 100_001):
        for grain in (1, 16):
            for row_ns in (1.0, 1e4, 1e7):
                ranges = threads.plan(rows, row_ns, grain)
                assert ranges == threads.plan(rows, row_ns, grain)
                assert [row for a, b in ranges for row in range(a, b)] == list(range(rows))
                assert all(a % grain == 0 for a, _ in ranges)
                assert len(ranges) == 1 or rows * row_ns >= threads.WORTH_SHARING_NS
                assert count > 1 or len(ranges) == 1


def test_small_work_stays() -> None:
    """A small call starts no thread and posts no job."""
    torch.set_num_threads(2)
    assert len(threads.plan(32, 50.0)) == 1


def test_results_keep_their_order_and_every_part_runs_once() -> None:
    torch.set_num_threads(3)
    seen: list[int] = []

    def work(first: int, last: int) -> int:
        time.sleep(0.001)
        seen.append(first)
        return first * 10

    ranges = [(k, k + 1) for k in range(20)]
    assert threads.run(ranges, work) == [k * 10 for k in range(20)]
    assert sorted(seen) == list(range(20))


def test_an_error_in_a_part_is_raised_after_all_parts() -> None:
    torch.set_num_threads(2)
    done: list[int] = []

    def work(first: int, last: int) -> int:
        if first == 3:
            raise KeyError(first)
        time.sleep(0.002)
        done.append(first)
        return 0

    with pytest.raises(KeyError):
        threads.run([(k, k + 1) for k in range(8)], work)
    assert sorted(done) == [0, 1, 2, 4, 5, 6, 7]


def test_the_first_bad_row_is_named() -> None:
    torch.set_num_threads(2)
    rows = problem()
    rows.target[[577, 123, 400]] = torch.tensor([[-5], [2000], [-7]])
    with pytest.raises(TargetOutOfRange) as caught:
        run(rows)
    assert (caught.value.row, caught.value.target) == (123, 2000)


def test_many_threads_at_once() -> None:
    torch.set_num_threads(2)
    problems = [problem(rows=200 + 10 * k) for k in range(8)]
    expected = [run(rows) for rows in problems]
    wrong: list[str] = []

    def work(k: int) -> None:
        for _ in range(4):
            found = run(problems[k % 8])
            if not all(torch.equal(a, b) for a, b in zip(found, expected[k % 8], strict=True)):
                wrong.append(f"thread {k}")

    callers = [threading.Thread(target=work, args=(k,)) for k in range(64)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(120)
    assert not any(caller.is_alive() for caller in callers)
    assert not wrong


def test_thread_count_changes_while_others_call() -> None:
    rows = problem()
    expected = run(rows)
    stop = threading.Event()

    def change() -> None:
        while not stop.is_set():
            for count in (1, 2, 4):
                torch.set_num_threads(count)

    changer = threading.Thread(target=change)
    changer.start()
    try:
        for _ in range(60):
            assert all(torch.equal(a, b) for a, b in zip(run(rows), expected, strict=True))
    finally:
        stop.set()
        changer.join()


def test_working_memory_is_bounded() -> None:
    with threads.scratch(1000) as first, threads.scratch(1000) as second:
        assert first != second and first % 64 == 0 == second % 64
    with threads.scratch(threads.KEPT_BYTES * 2):
        pass
    assert getattr(threads._local, "buffer", None) is None or threads._local.buffer.numel() <= threads.KEPT_BYTES


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_fork() -> None:
    """A child has no workers of its parent: it starts its own; grandchildren too; the parent goes on."""
    result = script(
        """
        run()
        for generation in range(2):
            child = os.fork()
            if child == 0:
                run(); run()
                assert team.run(None, b"", [0, 1], 0, 0, 2) is None  # OpenMP's threads are the parent's
                if generation == 1:
                    os._exit(0)
                grandchild = os.fork()
                if grandchild == 0:
                    run()
                    os._exit(0)
                os._exit(os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1]))
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            run()
        print("done")
        """
    )
    assert result.returncode == 0 and "done" in result.stdout, result.stderr


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_calling_and_forking_at_once() -> None:
    """64 threads call while the main thread forks: no child hangs, whatever the threads were doing."""
    result = script(
        """
        import time
        run()
        stop = False
        def work():
            while not stop:
                run()
        callers = [threading.Thread(target=work, daemon=True) for _ in range(64)]
        for caller in callers: caller.start()
        for _ in range(20):
            child = os.fork()
            if child == 0:
                run()
                os._exit(0)
            for _ in range(600):
                done, status = os.waitpid(child, os.WNOHANG)
                if done: break
                time.sleep(0.1)
            else:
                os.kill(child, 9)
                sys.exit("a child hangs")
            assert os.waitstatus_to_exitcode(status) == 0
        stop = True
        for caller in callers: caller.join()
        print("done")
        """
    )
    assert result.returncode == 0 and "done" in result.stdout, result.stderr[-2000:]


def test_shutdown_right_after_a_call() -> None:
    """The interpreter ends while the workers are just done: no hang, no abort.

    (Threads of the user that are daemons and inside torch at that moment abort any process that uses torch.)
    """
    for _ in range(4):
        result = script("for _ in range(20): run()\nprint('done')", seconds=120)
        assert result.returncode == 0 and "done" in result.stdout, result.stderr[-2000:]


def test_call_at_exit() -> None:
    """A call in an atexit handler, where threads can no longer be started, still gives the answer."""
    result = script(
        """
        import atexit
        atexit.register(lambda: (run(), print("done")))
        """,
        seconds=120,
    )
    assert result.returncode == 0 and "done" in result.stdout, result.stderr[-2000:]


def test_inside_autograds_own_thread() -> None:
    """Backward passes of several graphs at once, each from a thread of its own."""

    class Loss(torch.autograd.Function):
        @staticmethod
        def forward(ctx, logits: Tensor, target: Tensor) -> Tensor:  # type: ignore[no-untyped-def, override]
            ctx.save_for_backward(logits, target)
            return logits.sum()

        @staticmethod
        def backward(ctx, upstream: Tensor) -> tuple[Tensor, None]:  # type: ignore[no-untyped-def, override]
            logits, target = ctx.saved_tensors
            rows = RowProblem(logits=logits, target=target, skip=None, class_weight=None, on=1.0, off=0.0)
            return run(rows)[1], None

    torch.set_num_threads(2)
    rows = problem()
    expected = run(RowProblem(logits=rows.logits, target=rows.target, skip=None, class_weight=None, on=1.0, off=0.0))[1]
    found: list[Tensor] = []

    def work() -> None:
        logits = rows.logits.clone().requires_grad_()
        Loss.apply(logits, rows.target).backward()  # type: ignore[no-untyped-call]
        assert logits.grad is not None
        found.append(logits.grad)

    callers = [threading.Thread(target=work) for _ in range(6)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
    assert len(found) == 6 and all(torch.equal(gradient, expected) for gradient in found)


@pytest.mark.slow
def test_flat_memory() -> None:
    """10^5 calls keep nothing."""
    resource = pytest.importorskip("resource")
    rows = problem(rows=4, classes=100)
    for _ in range(2000):
        run(rows)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(100_000):
        run(rows)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 4096, "KiB"
