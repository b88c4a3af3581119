"""What only a device has: graphs, streams, nothing waits, more than 2^31 elements, kernels that are not started."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import crossent
from crossent import LinearPlan
from crossent.linear import counted
from devices import LOSSES, PLANS, TENSORS, differentiate, keywords

CALLS: dict[str, dict[str, Any]] = {
    "plain": {},
    "sum": {"reduction": "sum"},
    "none": {"reduction": "none"},
    "rich": {"label_smoothing": 0.1, "softcap": 20.0, "z_loss": 1e-3, "logit_scale": 0.7, "if_all_ignored": "zero"},
}


def batch(place: Any, seed: int, rows: int = 33, classes: int = 1001, dtype: Any = torch.float32) -> tuple[Tensor, ...]:
    """Logits and labels, a quarter of them ignored."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(rows, classes, generator=generator).to(dtype)
    target = torch.randint(0, classes, (rows,), generator=generator)
    target[::4] = -100
    return logits.to(place.device), target.to(place.device)


def both(place: Any, logits: Tensor, target: Tensor, **how: Any) -> tuple[Tensor, Tensor]:
    """Loss and gradient."""
    leaf = logits.detach().requires_grad_()
    loss = crossent.cross_entropy(leaf, target, backend=place.backend, **how)
    return loss.detach(), torch.autograd.grad(loss.sum(), leaf)[0]


# ---- graphs ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("name", CALLS)
def test_a_graph_is_replayed_on_other_inputs(name: str, dtype: torch.dtype, place: Any) -> None:
    logits, target = batch(place, 0, dtype=dtype)
    loss, gradient = both(place, logits, target, **CALLS[name])

    def step() -> None:
        new = both(place, logits, target, **CALLS[name])
        loss.copy_(new[0])
        gradient.copy_(new[1])

    replay = place.captured(step)
    for seed in (1, 2):
        for static, new in zip((logits, target), batch(place, seed, dtype=dtype), strict=True):
            static.copy_(new)
        replay()
        expected = both(place, *batch(place, seed, dtype=dtype), **CALLS[name])
        assert torch.equal(loss, expected[0]) and torch.equal(gradient, expected[1]), seed


@pytest.mark.parametrize("valid_rows", [None, 48])
def test_a_graph_of_a_linear_head(valid_rows: int | None, place: Any) -> None:
    def tensors(seed: int) -> list[Tensor]:
        generator = torch.Generator().manual_seed(seed)
        target = torch.randint(0, 300, (64,), generator=generator)
        target[: 16 + seed] = -100  # how many there are changes under the graph
        return [torch.randn(64, 32, generator=generator).to(place.device),
                torch.randn(300, 32, generator=generator).to(place.device), target.to(place.device)]  # fmt: skip

    def gradients(hidden: Tensor, head: Tensor, target: Tensor) -> tuple[Tensor, ...]:
        leaves = [hidden.detach().requires_grad_(), head.detach().requires_grad_()]
        loss = crossent.linear_cross_entropy(
            *leaves, target, backend=place.backend, options=LinearPlan(rows=16), valid_rows=valid_rows
        )
        return loss.detach(), *torch.autograd.grad(loss, leaves)

    static = tensors(0)
    results = gradients(*static)

    def step() -> None:
        for result, new in zip(results, gradients(*static), strict=True):
            result.copy_(new)

    replay = place.captured(step)
    for seed in (1, 2):
        for tensor, new in zip(static, tensors(seed), strict=True):
            tensor.copy_(new)
        replay()
        for result, expected in zip(results, gradients(*tensors(seed)), strict=True):
            torch.testing.assert_close(result, expected)


# ---- streams, and the same bits ------------------------------------------------------------------


def test_streams_do_not_disturb_each_other(place: Any) -> None:
    batches = [batch(place, seed, 257, 4099) for seed in range(6)]
    alone = [both(place, *each) for each in batches]
    place.wait()
    for _ in range(5):
        together: list[tuple[Tensor, Tensor]] = []
        for index, each in enumerate(batches):
            with place.stream(index % 3):
                together.append(both(place, *each))
        place.join_streams()
        place.wait()
        for (loss, gradient), expected in zip(together, alone, strict=True):
            assert torch.equal(loss, expected[0]) and torch.equal(gradient, expected[1])


@pytest.mark.parametrize("shape", [(4099, 37), (257, 1000), (33, 50257), (2, 262144), (1, 131071)], ids=str)
@pytest.mark.parametrize("name", CALLS)
def test_bit_identical_from_run_to_run(name: str, shape: tuple[int, int], place: Any) -> None:
    logits, target = batch(place, 0, *shape, dtype=torch.bfloat16)
    first = both(place, logits, target, **CALLS[name])
    for _ in range(10 if place.is_device else 2):
        again = both(place, logits, target, **CALLS[name])
        assert torch.equal(again[0].nan_to_num(7), first[0].nan_to_num(7)) and torch.equal(again[1], first[1])


# ---- nothing waits -----------------------------------------------------------------------------


@pytest.mark.parametrize("tensors", TENSORS)
@pytest.mark.parametrize("name", LOSSES)
def test_no_loss_waits_for_the_device(name: str, tensors: str, place: Any) -> None:
    how = {"device": place.device, "backend": place.backend}
    logits = torch.randn(7, 5, device=place.device, requires_grad=True)
    target = torch.tensor([0, 3, -100, 1, 2, 4, -100]).to(place.device)
    known = keywords(name, tensors, **how)
    for quiet in (False, True):  # kernels are compiled and loaded by the first, which may wait
        with place.nothing_waits() if quiet else place.stream(0):
            loss = crossent.cross_entropy(logits, target, **known)
            for _ in range(2):
                differentiate((loss,), logits)
            differentiate(crossent.cross_entropy_with_stats(logits, target, **known), logits)
            crossent.log_softmax(logits, 1, backend=place.backend)
        place.join_streams()


@pytest.mark.parametrize("valid_rows", [None, 5])
@pytest.mark.parametrize("plan", PLANS, ids=str)
@pytest.mark.parametrize("tensors", TENSORS)
@pytest.mark.parametrize("name", LOSSES)
def test_no_linear_loss_waits_for_the_device(
    name: str, tensors: str, plan: LinearPlan | None, valid_rows: int | None, place: Any
) -> None:
    hidden = torch.randn(7, 6, device=place.device, requires_grad=True)
    head = torch.randn(5, 6, device=place.device, requires_grad=True)
    target = torch.tensor([0, 3, -100, 1, 2, 4, -100]).to(place.device)
    known = keywords(name, tensors, leaf=plan is None, device=place.device, backend=place.backend)
    for quiet in (False, True):
        with place.nothing_waits() if quiet else place.stream(0):
            loss = crossent.linear_cross_entropy(hidden, head, target, options=plan, valid_rows=valid_rows, **known)
            for leaf in (hidden, head):
                differentiate((loss,), leaf)
        place.join_streams()


@pytest.mark.parametrize("ignored", [0, 30, 48, 63, 64])
def test_counted_products_are_those_of_all_rows(ignored: int, place: Any) -> None:
    reason = counted.why_not(torch.device(place.device), torch.bfloat16, 16)
    if reason is not None:
        pytest.skip(f"grouped products need {reason}")
    leaves = [torch.randn(n, 16, device=place.device, dtype=torch.bfloat16, requires_grad=True) for n in (64, 131)]
    target = torch.randint(0, 131, (64,))
    target[torch.randperm(64)[:ignored]] = -100
    target = target.to(place.device)

    def answer(plan: LinearPlan) -> tuple[Tensor, ...]:
        loss = crossent.linear_cross_entropy(*leaves, target, options=plan, backend=place.backend)
        return loss.detach(), *torch.autograd.grad(loss, leaves)

    answer(LinearPlan(rows=24, counted=True))
    with place.nothing_waits():
        found = answer(LinearPlan(rows=24, counted=True))
    place.join_streams()
    for ours, theirs in zip(found, answer(LinearPlan(rows=24)), strict=True):
        torch.testing.assert_close(ours, theirs, equal_nan=True)


# ---- sizes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("inner", [1, 3])
def test_more_elements_than_an_int32_counts(inner: int, place: Any) -> None:
    """The last rows of 2^31 and some more elements are those of a small call."""
    classes = 131072 if place.is_device else 512
    rows = ((1 << 31) // (classes * inner) + 7) if place.is_device else 9
    if not place.has_room(4 * 2 * rows * classes * inner):
        pytest.skip("not enough memory on this device")
    shape = (rows, classes) if inner == 1 else (rows, classes, inner)
    logits = torch.empty(shape, dtype=torch.bfloat16, device=place.device).normal_()
    target = torch.randint(0, classes, (rows, *shape[2:]), device=place.device)
    loss, gradient = both(place, logits, target, reduction="sum")
    for part in (slice(0, 2), slice(rows - 3, rows)):
        _, expected = both(place, logits[part], target[part], reduction="sum")
        assert torch.equal(gradient[part], expected)
    assert bool(loss.isfinite())
    each = crossent.cross_entropy(logits, target, reduction="none", backend=place.backend)
    few = crossent.cross_entropy(logits[-3:], target[-3:], reduction="none", backend=place.backend)
    assert torch.equal(each[-3:], few)


def test_peak_memory(place: Any) -> None:
    """The gradient and 5%; in place 1%; a linear head 0.6 GB and the sums of the weight's gradient."""
    rows, classes = (8192, 32000) if place.is_device else (64, 500)
    logits, target = batch(place, 0, rows, classes, torch.bfloat16)
    both(place, logits, target)
    peak = place.peak_bytes(lambda: both(place, logits, target))
    if peak is not None:
        assert logits.nbytes <= peak <= 1.05 * logits.nbytes

    root = logits.detach().requires_grad_()

    def in_place() -> None:
        crossent.cross_entropy(made[0], target, inplace=True, backend=place.backend).backward()

    made = [root * 1]
    peak = place.peak_bytes(in_place)
    if peak is not None:  # the root's own gradient is not the loss's
        assert peak <= 1.01 * logits.nbytes
    made.clear()

    N, H, V = (4096, 1024, 128256) if place.is_device else (32, 8, 50)
    hidden = torch.randn(N, H, device=place.device, dtype=torch.bfloat16).requires_grad_()
    head = torch.randn(V, H, device=place.device, dtype=torch.bfloat16).requires_grad_()
    labels = torch.randint(0, V, (N,), device=place.device)

    def linear() -> None:
        crossent.linear_cross_entropy(hidden, head, labels, backend=place.backend).backward()

    linear()
    hidden.grad = head.grad = None
    peak = place.peak_bytes(linear)
    if peak is not None:
        assert peak <= 0.6e9 + 4 * V * H + hidden.nbytes + head.nbytes


def test_an_upstream_gradient_of_one_costs_nothing(place: Any) -> None:
    """The kernel that multiplies by it reads the number on the device and ends; by another one it is a pass."""
    logits, target = batch(place, 0, *((8192, 32000) if place.is_device else (8, 50)), dtype=torch.bfloat16)
    leaf = logits.detach().requires_grad_()
    seconds: dict[float, float] = {}
    forward = 0.0
    for upstream in (1.0, 0.5):
        up = torch.full((), upstream, dtype=logits.dtype, device=place.device)
        for _ in range(2):
            loss = crossent.cross_entropy(leaf, target, backend=place.backend)
            times = place.kernel_seconds(lambda loss=loss, up=up: torch.autograd.grad(loss, leaf, up))
        seconds[upstream] = sum(times.values())
    times = place.kernel_seconds(lambda: crossent.cross_entropy(leaf, target, backend=place.backend))
    forward = sum(times.values())
    if place.is_device:
        assert forward > 0 and seconds[0.5] > 0.2 * forward, "the clock does not see the pass that must be there"
        assert seconds[1.0] < 0.05 * forward, (seconds, forward)


# ---- targets out of range ------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [-1, 1001, 2**40])
def test_a_target_out_of_range_is_nan(bad: int, place: Any) -> None:
    if not place.is_device:
        pytest.skip("the CPU refuses it; tests/test_no_reads.py takes this way on the CPU")
    logits, target = batch(place, 0)
    target[5] = bad
    leaf = logits.detach().requires_grad_()
    rows = crossent.cross_entropy(leaf, target, reduction="none", backend=place.backend)
    gradient = torch.autograd.grad(rows.sum(), leaf)[0]
    assert rows.isnan().nonzero().flatten().tolist() == [5] == gradient.isnan().all(1).nonzero().flatten().tolist()
    assert int(gradient.isnan().sum()) == logits.shape[1]
