"""Memory of large results: reused only when nothing holds it any more, bounded, given back when asked."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

import crossent
from crossent.backends import cpu  # noqa: F401 - empty_cache asks the engines that are loaded
from crossent.backends.cpu import memory

pytestmark = pytest.mark.skipif(not memory._has_huge_pages(), reason="memory is kept on Linux only")

SHAPE = (3, 1 << 20)  # 12 MB of float32


@pytest.fixture(autouse=True)
def _nothing_kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("CROSSENT_KEEP_MEMORY", raising=False)
    gc.collect()
    memory.forget()
    yield
    memory.forget()


def large(shape: tuple[int, ...] = SHAPE, dtype: torch.dtype = torch.float32) -> Tensor:
    return memory.empty(shape, dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16], ids=str)
def test_an_ordinary_tensor(dtype: torch.dtype) -> None:
    tensor = large((8, 1 << 20), dtype)
    assert (tensor.shape, tensor.dtype, tensor.is_contiguous()) == ((8, 1 << 20), dtype, True)
    assert not tensor._is_view() and not tensor.requires_grad and tensor.data_ptr() % 4096 == 0
    assert (tensor.fill_(3) == 3).all() and not tensor.untyped_storage().resizable()


def test_empty_cache_gives_back_what_is_kept() -> None:
    address = large().data_ptr()
    assert memory._kept
    crossent.empty_cache()
    assert not memory._kept
    held = large()
    crossent.empty_cache()
    assert (held.fill_(2) == 2).all() and address


def test_no_memory_beside_the_gradient() -> None:
    """Few classes and many rows: a number per row would be 5% of the logits. Peak of a process of its own."""
    body = """
        import torch, crossent
        from crossent import peak_memory
        logits, target = torch.randn(4, 21, 512, 512), torch.randint(21, (4, 512, 512))
        def loss(inplace):
            given = logits.detach().requires_grad_() * 1 if inplace else logits.requires_grad_()
            return lambda: torch.autograd.grad(
                crossent.cross_entropy(given, target, inplace=inplace, backend="cpu"), given
            )
        few, few_target = logits[:1, :, :64].clone(), target[:1, :64]
        crossent.cross_entropy(few.requires_grad_(), few_target, backend="cpu").backward()
        over, beside = peak_memory.extra_bytes(loss(True)), peak_memory.extra_bytes(loss(False))
        assert over < 0.01 * logits.nbytes, over
        assert beside < 1.05 * logits.nbytes, beside
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", textwrap.dedent(body)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_small_results_are_torchs() -> None:
    assert memory.empty((7, 5), torch.float32).untyped_storage().resizable()


def test_reused_once_nothing_holds_it() -> None:
    tensor = large()
    address = tensor.data_ptr()
    view = tensor[1:].view(-1)
    storage = view.untyped_storage()
    for holder in ("tensor", "view", "storage"):
        other = large()
        assert other.data_ptr() != address, f"{holder} still holds it"
        del other
        memory.forget()
        if holder == "tensor":
            del tensor
        elif holder == "view":
            del view
    del storage
    assert large().data_ptr() == address


def test_a_gradient_is_reused_after_it_is_gone() -> None:
    class Fill(torch.autograd.Function):
        @staticmethod
        def forward(ctx, logits: Tensor) -> Tensor:  # type: ignore[no-untyped-def, override]
            return logits.sum()

        @staticmethod
        def backward(ctx, upstream: Tensor) -> Tensor:  # type: ignore[no-untyped-def, override]
            return large().fill_(upstream.item())

    logits = torch.zeros(SHAPE, requires_grad=True)
    seen = []
    for value in (2.0, 3.0):
        (value * Fill.apply(logits)).backward()  # type: ignore[no-untyped-call]
        assert logits.grad is not None and (logits.grad == value).all()
        seen.append(logits.grad.data_ptr())
        logits.grad = None
    assert seen[0] == seen[1]
    assert len(memory._kept) == 1


def test_sizes() -> None:
    """A kept block serves what is nearly as large as it, nothing smaller and nothing larger."""
    address = large((4, 1 << 20)).data_ptr()
    assert large((8, 1 << 20)).data_ptr() != address
    assert large((3, 1 << 20)).data_ptr() != address
    assert large(((4 << 20) - 1000,)).data_ptr() == address


def test_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = [large() for _ in range(memory.KEPT_BLOCKS + 3)]
    del tensors
    assert len(memory._kept) == memory.KEPT_BLOCKS
    monkeypatch.setattr(memory, "_limit", lambda: 30 << 20)
    tensors = [large() for _ in range(4)]
    del tensors
    assert sum(map(len, memory._kept)) <= 30 << 20


def test_nothing_is_kept_where_nothing_shall_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSENT_KEEP_MEMORY", "0")
    large()
    assert memory._kept == []


def test_many_threads() -> None:
    """No block is handed out twice while somebody holds it."""
    wrong: list[int] = []

    def work(mark: int) -> None:
        for _ in range(15):
            tensor = large().fill_(mark)
            if not (tensor == mark).all():
                wrong.append(mark)

    threads = [threading.Thread(target=work, args=(mark,)) for mark in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not wrong and len(memory._kept) <= memory.KEPT_BLOCKS


def script(body: str) -> subprocess.CompletedProcess[str]:
    text = """
        import os, sys, torch
        from crossent.backends.cpu import memory
        torch.set_num_threads(1)  # torch's own pool does not survive a fork
        size = (3, 1 << 20)
    """
    text = textwrap.dedent(text) + textwrap.dedent(body)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", text]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_fork() -> None:
    """What a child writes into its tensors does not reach the parent's, and the other way round."""
    result = script(
        """
        memory.empty(size, torch.float32).fill_(1)
        mine = memory.empty(size, torch.float32).fill_(1)
        child = os.fork()
        if child == 0:
            ok = memory._kept == [] and bool((mine == 1).all())
            mine.fill_(2)
            again = memory.empty(size, torch.float32).fill_(3)
            os._exit(0 if ok and bool((mine == 2).all()) else 1)
        status = os.waitpid(child, 0)[1]
        assert status == 0 and bool((mine == 1).all())
        print("done")
        """
    )
    assert result.returncode == 0 and "done" in result.stdout, result.stderr


def test_tensors_alive_at_exit() -> None:
    """Held by a module, a cycle, an autograd graph, a running thread's frame: no crash when the interpreter ends."""
    result = script(
        """
        held = memory.empty(size, torch.float32).fill_(1)
        class Cycle: pass
        cycle = Cycle(); cycle.self = cycle; cycle.tensor = memory.empty(size, torch.float32)
        leaf = torch.zeros(size, requires_grad=True)
        graph = (leaf * memory.empty(size, torch.float32).fill_(1)).sum()
        leaf.grad = memory.empty(size, torch.float32)
        import threading
        def wait(tensor):
            threading.Event().wait()
        threading.Thread(target=wait, args=(memory.empty(size, torch.float32),), daemon=True).start()
        print("done")
        """
    )
    assert result.returncode == 0 and "done" in result.stdout, result.stderr
