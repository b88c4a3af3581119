"""Every case of the tables, every sample of torch's and every linear case on the device, against float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

import conformance
import crossent
import linear_cases
from cases import CASES, Case
from crossent import LinearPlan
from linear_cases import LinearCase

try:
    import torch_samples
    from sample_checks import check_sample
except ImportError as error:  # torch.testing._internal asks for expecttest
    torch_samples, WHY = None, str(error)  # type: ignore[assignment]
ENTRIES = [] if torch_samples is None else list(torch_samples.entries())


@pytest.mark.parametrize("case", CASES, ids=str)
def test_against_float64(case: Case, place: Any) -> None:
    conformance.check(case, place.backend, place.device)


@pytest.mark.skipif(torch_samples is None, reason="torch's samples cannot be imported here")
@pytest.mark.filterwarnings("ignore:Casting complex values to real:UserWarning")
@pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental:UserWarning")
@pytest.mark.parametrize(("entry", "dtype"), ENTRIES, ids=[f"{entry}-{str(dtype)[6:]}" for entry, dtype in ENTRIES])
def test_torchs_samples(entry: str, dtype: torch.dtype, place: Any) -> None:
    samples = list(torch_samples.samples(entry, dtype, place.device))
    assert samples
    for sample in samples:
        check_sample(sample, dtype, place.backend)


@pytest.mark.parametrize("case", list(linear_cases.cases()), ids=str)
def test_linear(case: LinearCase, place: Any) -> None:
    """Chunks of three rows on the device against the plain head on the CPU, in float64."""
    arguments = linear_cases.make(case)
    exact = arguments.plain()
    upstream = torch.randn(exact.shape, dtype=torch.float64)
    expected = torch.autograd.grad(exact, list(arguments.leaves.values()), upstream)
    there = arguments.on(place.device)
    loss = there.run(backend=place.backend, options=LinearPlan(rows=3))
    got = torch.autograd.grad(loss, list(there.leaves.values()), upstream.to(loss))
    torch.testing.assert_close(loss.detach().cpu(), exact.detach(), equal_nan=True)
    for ours, theirs in zip(got, expected, strict=True):
        torch.testing.assert_close(ours.cpu(), theirs, equal_nan=True)


@pytest.mark.parametrize("rows", [64, 256])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_linear_is_no_less_exact_than_a_plain_head(dtype: torch.dtype, rows: int, place: Any) -> None:
    """Relative errors against float64 of loss, d hidden and d head: at most those of torch's functions on the same
    device in the same dtype, and one rounding."""
    hidden, head = torch.randn(256, 128), torch.randn(1000, 128) / 4
    target = torch.randint(0, 1000, (256,)).to(place.device)
    low = [tensor.to(place.device, dtype).requires_grad_() for tensor in (hidden, head)]
    wide = [tensor.detach().double().requires_grad_() for tensor in low]

    def errors(loss: torch.Tensor, leaves: list[torch.Tensor]) -> list[float]:
        known = [loss.detach(), *torch.autograd.grad(loss, leaves)]
        return [float((a.double() - b).norm() / b.norm()) for a, b in zip(known, exact, strict=True)]

    true = F.cross_entropy(F.linear(*wide), target)
    exact = [true.detach(), *torch.autograd.grad(true, wide)]
    plan = LinearPlan(rows=rows)
    mine = crossent.linear_cross_entropy(*low, target, backend=place.backend, options=plan, out_dtype=torch.float32)
    ours, theirs = errors(mine, low), errors(F.cross_entropy(F.linear(*low).float(), target), low)
    for name, own, torchs in zip(("loss", "d hidden", "d head"), ours, theirs, strict=True):
        assert own <= torchs + torch.finfo(dtype).eps / 2, (name, own, torchs)
