"""Nothing waits for a device: no number is read back, no shape depends on one, nothing is transferred.

CPU tensors are made to take the ways of a device (``devices.py``): once under a mode that refuses every operation that
would wait, with the reference backend (plain torch) and with the GPU engine up to its launches, and once for what the
reference computes there. What never waits and never asks for a size can be captured in a CUDA graph; ``tests/gpu``
captures it, and holds the real devices to the same rule.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor

import crossent
import linear_cases
from crossent import LinearPlan
from crossent.linear import counted
from devices import (
    LOSSES,
    PLANS,
    TENSORS,
    DeviceRead,
    NothingRead,
    as_on_a_device,
    differentiate,
    keywords,
    nothing_launched,
)


@pytest.fixture(params=["reference", "gpu"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A backend that computes, and the GPU engine, which must have launched something in the end."""
    with nothing_launched(monkeypatch) if request.param == "gpu" else nullcontext() as launched:
        yield request.param
        assert launched is None or launched


@pytest.mark.parametrize("tensors", TENSORS)
@pytest.mark.parametrize("name", LOSSES)
def test_losses_of_logits(name: str, tensors: str, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    logits, target = torch.randn(7, 5, requires_grad=True), torch.tensor([0, 3, -100, 1, 2, 4, -100])
    probabilities = torch.rand(7, 5, requires_grad=True)
    known, plain = (keywords(name, tensors, leaf=leaf, backend=backend) for leaf in (True, False))
    with as_on_a_device(monkeypatch, nothing_read=True) as rules:
        loss = crossent.cross_entropy(logits, target, **known)
        for _ in range(2):
            assert differentiate((loss,), logits).shape == logits.shape
        differentiate(crossent.cross_entropy_with_stats(logits, target, **known), logits)
        differentiate((crossent.cross_entropy(logits, probabilities, **plain),), probabilities)
        differentiate((crossent.log_softmax(logits, 1, backend=backend),), logits)
    assert rules.operations > 100


@pytest.mark.parametrize("valid_rows", [None, 5, 100])
@pytest.mark.parametrize("plan", [*PLANS, LinearPlan(rows=3, counted=True)], ids=str)
@pytest.mark.parametrize("tensors", TENSORS)
@pytest.mark.parametrize("name", LOSSES)
def test_losses_of_a_linear_head(
    name: str, tensors: str, plan: LinearPlan | None, valid_rows: int | None, backend: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    hidden, head = torch.randn(7, 6, requires_grad=True), torch.randn(5, 6, requires_grad=True)
    bias, target = torch.randn(5, requires_grad=True), torch.tensor([0, 3, -100, 1, 2, 4, -100])
    known = keywords(name, tensors, leaf=plan is None, backend=backend)
    monkeypatch.setattr(counted, "_grouped", grouped)
    with as_on_a_device(monkeypatch, nothing_read=True) as rules:
        loss = crossent.linear_cross_entropy(
            hidden, head, target, linear_bias=bias, options=plan, valid_rows=valid_rows, **known
        )
        for leaf in (hidden, head, bias):  # the second one on is made again
            assert differentiate((loss,), leaf).shape == leaf.shape
    assert rules.operations > 100


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_readouts_and_sequences_of_a_linear_head(
    dtype: torch.dtype, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden = torch.randn(2, 7, 6, dtype=dtype, requires_grad=True)
    head, target = torch.randn(9, 6, dtype=dtype, requires_grad=True), torch.randint(0, 9, (2, 7))
    plan = LinearPlan(rows=2)
    with as_on_a_device(monkeypatch, nothing_read=True):
        stats = crossent.linear_cross_entropy_with_stats(
            hidden, head, target, shift=1, top_k=3, valid_rows=12, options=plan, backend=backend
        )
        assert differentiate(stats, head).dtype == dtype
    assert stats.top_classes is not None and stats.top_classes.shape == (2, 7, 3)


def test_the_rules_can_fail() -> None:
    mask, numbers, two, zero = torch.tensor([True, False]), torch.ones(2), torch.tensor([1, 2]), torch.zeros(())
    broken = (
        lambda: numbers.sum().item(),
        lambda: bool(mask.any()),
        lambda: numbers[mask],
        lambda: mask.nonzero(),
        lambda: numbers.masked_select(mask),
        lambda: numbers.repeat_interleave(two),
        lambda: numbers.index_put((mask,), zero),
        lambda: torch.equal(numbers, numbers),
        lambda: torch.tensor(3.0),
        lambda: numbers + torch.as_tensor(3.0),
        lambda: numbers.to("meta").copy_(numbers),
    )
    for each in broken:
        with NothingRead(), pytest.raises(DeviceRead):
            each()
    with NothingRead():
        numbers.index_select(0, two - 1).sum()


# ---- what the way of a device computes -----------------------------------------------------------


@pytest.mark.parametrize("case", list(linear_cases.cases()), ids=str)
@pytest.mark.parametrize("way", ["all rows", "valid_rows", "counted"])
def test_the_way_of_a_device_is_right(case: linear_cases.LinearCase, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every layout and option, against the plain head: all rows computed, those in front, those that are counted."""
    arguments = linear_cases.make(case)
    target, more = arguments.target, {}
    if way == "valid_rows":
        if target.is_floating_point():
            pytest.skip("probability targets have no ignored rows")
        more["valid_rows"] = valid_rows(case, arguments)
    if way == "counted":
        monkeypatch.setattr(counted, "_grouped", grouped)
    exact = arguments.plain()
    upstream = torch.randn(exact.shape, dtype=torch.float64)
    leaves = list(arguments.leaves.values())
    expected = torch.autograd.grad(exact, leaves, upstream)
    with as_on_a_device(monkeypatch):
        loss = arguments.run(backend="reference", options=LinearPlan(rows=3, counted=way == "counted"), **more)
        got = torch.autograd.grad(loss, leaves, upstream)
    torch.testing.assert_close(loss, exact.detach(), equal_nan=True)
    for ours, theirs in zip(got, expected, strict=True):
        torch.testing.assert_close(ours, theirs, equal_nan=True)


def grouped(a: Tensor, b: Tensor, count: Tensor) -> Tensor:
    """What torch says of its grouped products with one group, in any dtype and without reading the count (which torch's
    own read on a CPU): rows behind the count hold anything."""
    inside = torch.arange(b.shape[0] if b.dim() == 2 else a.shape[0])[:, None] < count
    if b.dim() == 2:
        return (torch.where(inside.t(), a, 0.0) @ torch.where(inside, b, 0.0))[None]
    return torch.where(inside, a @ b[0], torch.nan)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("ignored", [0, 4, 11, 12])
def test_counted_products_are_torchs(ignored: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch's own grouped products in chunks of which some count no row, against all rows in the same chunks."""
    leaves = [torch.randn(size, dtype=dtype, requires_grad=True) for size in ((12, 8), (21, 8), (21,))]
    wide = dtype == torch.float32
    leaves, rows = (leaves, 5) if wide else (leaves[:2], 12)  # a bias, or rows in another chunk: another rounding
    target = torch.randint(0, 21, (12,))
    target[torch.randperm(12)[:ignored]] = -100

    def answer(plan: LinearPlan) -> tuple[Tensor, ...]:
        with as_on_a_device(monkeypatch):
            known: dict[str, Any] = dict(zip(("input", "linear_weight", "linear_bias"), leaves, strict=False))
            loss = crossent.linear_cross_entropy(
                **known, target=target, options=plan, backend="reference", if_all_ignored="zero"
            )
            return loss.detach(), *torch.autograd.grad(loss, leaves)

    for ours, theirs in zip(answer(LinearPlan(rows=rows, counted=True)), answer(LinearPlan(rows=rows)), strict=True):
        torch.testing.assert_close(ours, theirs)


def valid_rows(case: linear_cases.LinearCase, arguments: linear_cases.LinearArguments) -> int:
    """How many rows have a target."""
    target = arguments.target
    if arguments.shift:
        target = target[..., arguments.shift :]
    read = target != arguments.keywords.get("ignore_index", -100)
    lead = arguments.input.dim() - 1
    return int(read.reshape(*read.shape[:lead], -1).any(-1).sum()) if read.dim() > lead else int(read.sum())


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("promise", [0, 2, 3, 4, 6])
def test_a_broken_promise_is_nan(promise: int, reduction: str, monkeypatch: pytest.MonkeyPatch) -> None:
    hidden, head = torch.randn(6, 3, requires_grad=True), torch.randn(4, 3, requires_grad=True)
    target = torch.tensor([-100, 2, -100, 0, 3, -100])
    expected = crossent.linear_cross_entropy(hidden, head, target, reduction=reduction, backend="reference")
    with as_on_a_device(monkeypatch):
        loss = crossent.linear_cross_entropy(
            hidden, head, target, reduction=reduction, backend="reference", valid_rows=promise, if_all_ignored="zero"
        )
        gradient = torch.autograd.grad(loss.sum(), head)[0]
    if promise < 3:
        assert loss.isnan().all()
        assert gradient.isnan().all() or promise == 0
    else:
        torch.testing.assert_close(loss, expected)
        assert gradient.isfinite().all()


def test_a_target_out_of_range_is_nan_where_it_cannot_be_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither an exception (which would have to wait) nor a wrong number (docs/differences.md)."""
    logits, weight = torch.randn(5, 4, requires_grad=True), torch.rand(4)
    head = torch.randn(4, 4, requires_grad=True)
    with as_on_a_device(monkeypatch):
        for bad in (-1, 4, 2**40):
            target = torch.tensor([0, bad, 2, -100, 1])
            for more in ({}, {"weight": weight}, {"label_smoothing": 0.1}):
                rows = crossent.cross_entropy(logits, target, reduction="none", backend="reference", **more)
                gradient = torch.autograd.grad(rows.sum(), logits)[0]
                assert rows.isnan().tolist() == gradient.isnan().all(1).tolist() == [False, True, False, False, False]
                assert not gradient[[0, 2, 3, 4]].isnan().any()
                loss = crossent.linear_cross_entropy(logits, head, target, backend="reference", **more)
                assert loss.isnan()


@pytest.mark.parametrize("function", ["cross_entropy", "nll_loss", "cross_entropy_with_stats", "linear_cross_entropy"])
@pytest.mark.parametrize("switch", [None, "0", "1"])
def test_a_switch_looks_at_targets(switch: str | None, function: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """CROSSENT_CHECK_TARGETS=1: the GPU engine waits for the device, and raises as the CPU does."""
    if switch is None:
        monkeypatch.delenv("CROSSENT_CHECK_TARGETS", raising=False)
    else:
        monkeypatch.setenv("CROSSENT_CHECK_TARGETS", switch)
    tensors = [torch.randn(5, 4, requires_grad=True)]
    if function == "linear_cross_entropy":
        tensors.append(torch.randn(4, 4, requires_grad=True))
    call, good = getattr(crossent, function), torch.tensor([0, 3, 2, -100, 1])
    with as_on_a_device(monkeypatch), nothing_launched(monkeypatch) as launched:
        call(*tensors, good, backend="gpu")
        for bad in (-1, 4, 2**40):
            target = torch.where(good == 2, bad, good)
            if switch == "1":
                with pytest.raises(IndexError, match=f"Target {bad} is out of bounds"):
                    call(*tensors, target, backend="gpu")
            else:
                call(*tensors, target, backend="gpu")
    assert launched
