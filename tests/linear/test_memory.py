"""What a call really allocates, measured in processes of its own (Linux: the resident peak).

Everything counts: what threads, the BLAS and the allocator keep, too. Memory that the engine has kept from an earlier
call would be counted as there before, so none is (CROSSENT_KEEP_MEMORY=0).
"""

from __future__ import annotations

import json
import sys

import pytest
import torch

from crossent import dispatch
from crossent.linear.plan import PRODUCT_BYTES
from serving import CPU, in_fresh_process

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the resident peak is read from /proc"),
    pytest.mark.skipif(
        isinstance(dispatch.load("cpu"), str), reason="the reference makes intermediate results of its own"
    ),
]

CHILD = """
import json, os, sys
os.environ["CROSSENT_KEEP_MEMORY"] = "0"
import torch, crossent
from crossent import peak_memory
N, H, V, dtype, how = json.loads(sys.argv[1])
evaluates = how.pop("evaluates", False)
torch.set_num_threads(2)
torch.manual_seed(0)
dtype = getattr(torch, dtype)
lead = (N // 512, 512) if "shift" in how else (N,)
input = torch.randn(*lead, H).to(dtype).requires_grad_()
head = torch.randn(V, H).mul_(0.02).to(dtype).requires_grad_()
target = torch.randint(0, V, lead)

def call(rows):
    few, labels = (input, target) if rows == len(input) else (input[:rows], target[:rows])
    with torch.set_grad_enabled(not evaluates):
        loss = crossent.linear_cross_entropy(few, head, labels, backend="cpu", **how)
    if not evaluates:
        loss.sum().backward()

call(1 if "shift" in how else 64)  # kernels and threads
input.grad = head.grad = None
used = peak_memory.extra_bytes(lambda: call(lead[0]))
returned = 0 if evaluates else input.grad.nbytes + head.grad.nbytes
print(json.dumps(used - returned))
"""


def measured(N: int, H: int, V: int, dtype: str, **how: object) -> int:
    """Bytes beside the returned gradients."""
    return int(in_fresh_process(CHILD, arguments=(json.dumps([N, H, V, dtype, how]),)).strip().splitlines()[-1])


MB = 1 << 20
slow = pytest.mark.slow


@pytest.mark.parametrize(
    ("dtype", "budget", "how"),
    [
        ("float32", 32, {"reduction": "none"}),
        ("bfloat16", 64, {}),  # holds the accumulator
        ("bfloat16", 32, {}),  # does not: slabs
        pytest.param("float32", 32, {}, marks=slow),
        pytest.param("float32", 128, {}, marks=slow),
        pytest.param("float32", 8, {}, marks=slow),
        pytest.param("bfloat16", 8, {}, marks=slow),
        pytest.param("bfloat16", 64, {"reduction": "none"}, marks=slow),
        pytest.param("bfloat16", 32, {"label_smoothing": 0.1}, marks=slow),
        pytest.param("float32", 32, {"label_smoothing": 0.1, "reduction": "none"}, marks=slow),
        pytest.param("float32", 32, {"evaluates": True}, marks=slow),
        pytest.param("bfloat16", 32, {"evaluates": True}, marks=slow),
        pytest.param("float32", 64, {"filter_eps": 1e-3}, marks=slow),
    ],
    ids=str,
)
def test_the_budget_holds(dtype: str, budget: int, how: dict[str, object]) -> None:
    assert dispatch.reason_against("cpu", CPU, torch.float32) is None
    used = measured(4096, 256, 32000, dtype, memory_budget=budget * MB, **how)
    once = PRODUCT_BYTES if budget < 32 else 0  # too small to hold what the BLAS takes for itself once in a process
    assert used <= 1.05 * budget * MB + once, (used / MB, budget)
    print(f"{used / MB:.1f} MB of {budget}")


@slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_default_needs_a_twentieth_of_the_logits(dtype: str) -> None:
    """At 8192 x 128256: less than 5 % of what float32 logits would take; with 16 bits the same number of bytes, and
    4 * V * H for the gradient's sum in float32."""
    N, H, V = 8192, 64, 128256
    logits, sums = N * V * 4, 4 * V * H if dtype == "bfloat16" else 0
    used = measured(N, H, V, dtype)
    assert used < 0.05 * logits + sums, (used / MB, (0.05 * logits + sums) / MB)
    print(f"{used / MB:.1f} MB, {(used - sums) / logits:.2%} of the logits in float32")


@pytest.mark.parametrize("evaluates", [False, True])
def test_shift_copies_no_hidden_states(evaluates: bool) -> None:
    """Rows of one chunk at a time, and not the (B, T - 1, H) that a plain head makes: 64 MB of hidden states here."""
    N, H = 16384, 1024
    used = measured(N, H, 512, "float32", shift=1, evaluates=evaluates)
    assert used < N * H * 4 / 2, used / MB
    print(f"{used / MB:.1f} MB beside {N * H * 4 / MB:.0f} MB of hidden states")
