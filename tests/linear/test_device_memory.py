"""What a linear head allocates on a device, at its real sizes: tensors of the meta kind go through the GPU engine.

Everything but the launches happens (``devices.py``), so the bytes are those that torch's allocator would be asked for
by crossent itself; what cuBLAS takes for itself and the allocator's rounding are not in them.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
import torch

import crossent
from crossent.linear import autograd
from devices import Live, as_on_a_device, nothing_launched

HEADS = {"llama3-8b": (4096, 4096, 128256), "olmo": (16384, 2048, 131072), "gemma2-2b": (8192, 2304, 256000)}
MB = 10**6


def peak(
    monkeypatch: pytest.MonkeyPatch, rows: int, features: int, classes: int, dtype: torch.dtype, **how: Any
) -> int:
    """Most bytes at a time in forward and backward, beyond inputs and both gradients."""
    hidden, head = (
        torch.empty(size, features, dtype=dtype, device="meta").requires_grad_() for size in (rows, classes)
    )
    target = torch.empty(rows, dtype=torch.int64, device="meta")
    monkeypatch.setattr(autograd, "_without_autocast", lambda tensor: nullcontext())  # torch knows none of meta
    with nothing_launched(monkeypatch) as launched, as_on_a_device(monkeypatch), Live() as live:
        crossent.linear_cross_entropy(hidden, head, target, backend="gpu", **how).backward()
    assert launched and hidden.grad is not None and head.grad is not None
    return live.peak(hidden.grad, head.grad)


@pytest.mark.parametrize("name", HEADS)
def test_by_default(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """0.6 GB and the float32 sums of the weight's gradient."""
    _, features, classes = HEADS[name]
    accumulator = 4 * classes * features
    assert peak(monkeypatch, *HEADS[name], torch.bfloat16) <= 600 * MB + accumulator


@pytest.mark.parametrize("name", HEADS)
def test_with_a_budget(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """256 MB hold no such sums: the logits are made again, slab by slab, within 300 MB."""
    assert peak(monkeypatch, *HEADS[name], torch.bfloat16, memory_budget=256 * MB) <= 300 * MB


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
@pytest.mark.parametrize("budget", [64, 256, 700, 2500])
def test_a_budget_is_kept(budget: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    assert peak(monkeypatch, 4096, 1024, 128256, dtype, memory_budget=budget * MB) <= budget * MB


def test_the_meter_sees_a_plain_head(monkeypatch: pytest.MonkeyPatch) -> None:
    """Logits and their gradient: what all of this avoids."""
    rows, features, classes = 64, 32, 5000
    hidden, head = (torch.empty(size, features, device="meta").requires_grad_() for size in (rows, classes))
    target = torch.empty(rows, dtype=torch.int64, device="meta")
    with Live() as live:
        torch.nn.functional.cross_entropy(hidden @ head.t(), target).backward()
    assert hidden.grad is not None and head.grad is not None
    plain = live.peak(hidden.grad, head.grad)
    assert 2 <= plain / (4 * rows * classes) <= 4
    assert peak(monkeypatch, rows, features, classes, torch.float32, memory_budget=plain // 4) <= plain // 4
