"""What a call really allocates, measured in processes of its own (Linux: the resident peak).

Allowed beside the budget: 5%, and what threads, packing buffers of the BLAS and the allocator keep (SLACK).
"""

from __future__ import annotations

import json
import sys

import pytest
import torch

from crossent import dispatch
from serving import CPU, in_fresh_process

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the resident peak is read from /proc"),
    pytest.mark.skipif(
        isinstance(dispatch.load("cpu"), str), reason="the reference makes intermediate results of its own"
    ),
]
SLACK = 24 << 20

CHILD = """
import json, sys, torch, crossent
from crossent import peak_memory
N, H, V, dtype, budget, reduction = json.loads(sys.argv[1])
torch.set_num_threads(2)
torch.manual_seed(0)
dtype = getattr(torch, dtype)
input = torch.randn(N, H).to(dtype).requires_grad_()
head = torch.randn(V, H).mul_(0.02).to(dtype).requires_grad_()
target = torch.randint(0, V, (N,))

def call(rows, **how):
    loss = crossent.linear_cross_entropy(input[:rows], head, target[:rows], backend="cpu", reduction=reduction, **how)
    loss.sum().backward()

call(64)  # kernels, threads and the BLAS's own buffers
input.grad = head.grad = None
used = peak_memory.extra_bytes(lambda: call(N, memory_budget=budget))
returned = sum(t.grad.nbytes for t in (input, head))
print(json.dumps(used - returned))
"""


def measured(N: int, H: int, V: int, dtype: str, budget: int | None, reduction: str = "mean") -> int:
    """Bytes beside the returned gradients."""
    arguments = json.dumps([N, H, V, dtype, budget, reduction])
    return int(in_fresh_process(CHILD, arguments=(arguments,)).strip().splitlines()[-1])


MB = 1 << 20


@pytest.mark.parametrize(
    ("dtype", "budget", "reduction"),
    [
        ("float32", 32 * MB, "none"),
        ("bfloat16", 120 * MB, "mean"),  # holds the accumulator
        ("bfloat16", 32 * MB, "mean"),  # does not: slabs
    ],
)
def test_the_budget_holds(dtype: str, budget: int, reduction: str) -> None:
    assert dispatch.reason_against("cpu", CPU, torch.float32) is None
    used = measured(4096, 512, 32000, dtype, budget, reduction)
    assert used <= 1.05 * budget + SLACK, (used / MB, budget / MB)


@pytest.mark.slow
def test_the_default_needs_a_twentieth_of_the_logits() -> None:
    used = measured(8192, 64, 128256, "float32", None)
    assert used < 0.05 * 8192 * 128256 * 4, used / MB
