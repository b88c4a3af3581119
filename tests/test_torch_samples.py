"""torch's own samples under every explicit backend and under backend=None; see torch_samples.py.

For each sample: dtype, shape, value, gradient, second derivatives (float64), and who served it. Our error
against float64 arithmetic on the same inputs is at most torch's own error plus a bound: one rounding for
16-bit results, a few for float32, 1e-12 relative for float64.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch

import torch_samples
from serving import BACKENDS, expected_server, first_line, outcome, serving
from torch_samples import HALVES, Sample

ENTRIES = [pytest.param(entry, dtype, id=f"{entry}-{str(dtype)[6:]}") for entry, dtype in torch_samples.entries()]
# torch's with_dtype samples convert complex inputs, with a warning of torch's own that they lose the imaginary part
pytestmark = [
    pytest.mark.usefixtures("no_small_calls"),
    pytest.mark.filterwarnings("ignore:Casting complex values to real:UserWarning"),
    pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental:UserWarning"),
]


# How many roundings of the largest element an answer may be off beside torch's own error. The arithmetic of 16-bit
# inputs is float32, so one; in float32 and float64 each of the two computations rounds a few times.
ROUNDINGS = {torch.float64: 4096, torch.float32: 4, torch.bfloat16: 1, torch.float16: 1}


def check_close(name: str, ours: torch.Tensor, theirs: torch.Tensor, truth: torch.Tensor) -> None:
    """Ours against torch's, given the result of float64 arithmetic on the same inputs."""
    assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape), name
    if ours.is_complex():
        ours, theirs, truth = (torch.view_as_real(tensor) for tensor in (ours, theirs, truth))
    wide, other = ours.to(torch.float64), theirs.to(torch.float64)
    finite = truth.isfinite()
    assert torch.equal(wide[~finite].nan_to_num(7.0), other[~finite].nan_to_num(7.0)), name
    wide, other, truth = wide[finite], other[finite], truth[finite]
    if not truth.numel():
        return
    allowed = (other - truth).abs().max() + ROUNDINGS[ours.dtype] * torch.finfo(ours.dtype).eps * truth.abs().max()
    if ours.dtype in (torch.float32, torch.float64):  # softmax - target cancels: its error is that of the number 1
        allowed = allowed.clamp(min=ROUNDINGS[ours.dtype] * torch.finfo(ours.dtype).eps)
    assert (wide - truth).abs().max() <= allowed, (name, float((wide - truth).abs().max()), float(allowed))


def differentiate(result: Any, leaves: list[torch.Tensor], upstream: torch.Tensor) -> list[torch.Tensor]:
    if not leaves:
        return []
    return list(torch.autograd.grad(result, leaves, upstream.to(result.dtype), allow_unused=False))


def second_derivatives(sample: Sample, backend: str | None, *, ours: bool) -> list[torch.Tensor]:
    """d/d(leaves, upstream) of a random projection of the gradients."""
    generator = torch.Generator().manual_seed(3)
    result, leaves = sample.run(ours=ours, backend=backend)
    upstream = torch.randn(result.shape, generator=generator, dtype=result.dtype).requires_grad_()
    gradients = torch.autograd.grad(result, leaves, upstream, create_graph=True)
    projection = sum((g * torch.randn(g.shape, generator=generator, dtype=g.dtype)).sum() for g in gradients)
    answers = torch.autograd.grad(projection, [*leaves, upstream], allow_unused=True)
    return [torch.zeros_like(t) if g is None else g for g, t in zip(answers, [*leaves, upstream], strict=True)]


def check_sample(sample: Sample, dtype: torch.dtype, backend: str | None) -> None:
    with serving() as calls:
        ours, leaves = sample.run(ours=True, backend=backend)
    assert [call.by for call in calls] == [expected_server(backend, sample.kwargs.get("dtype", dtype))], calls
    theirs, their_leaves = sample.run(ours=False)
    truth, true_leaves = sample.run(ours=False, wide=True)
    check_close("value", ours.detach(), theirs.detach(), truth.detach().to(torch.float64))
    generator = torch.Generator().manual_seed(2)
    upstream = torch.randn(theirs.shape, generator=generator, dtype=torch.float64).to(theirs.dtype)
    gradients = [
        differentiate(result, inputs, upstream)
        for result, inputs in ((ours, leaves), (theirs, their_leaves), (truth, true_leaves))
    ]
    for index, (mine, torchs, true) in enumerate(zip(*gradients, strict=True)):
        assert mine.dtype == leaves[index].dtype
        check_close(f"gradient {index}", mine, torchs, true)
    if dtype == torch.float64 and leaves:
        pairs = zip(
            second_derivatives(sample, backend, ours=True), second_derivatives(sample, backend, ours=False), strict=True
        )
        for index, (mine, torchs) in enumerate(pairs):
            check_close(f"second derivative {index}", mine, torchs, torchs)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("entry", "dtype"), ENTRIES)
def test_samples(entry: str, dtype: torch.dtype, backend: str | None) -> None:
    failures = []
    samples = list(torch_samples.samples(entry, dtype))
    assert samples
    for sample in samples:
        torch_samples.tried[str(backend)] += 1
        try:
            check_sample(sample, dtype, backend)
        except Exception as exception:
            failures.append(f"{sample.label}: {type(exception).__name__}: {exception}")
        else:
            torch_samples.passed[str(backend)] += 1
    assert not failures, f"{len(failures)} of {len(samples)}\n" + "\n".join(failures)


@pytest.mark.parametrize("backend", BACKENDS)
def test_modules_against_torchs_python_references(backend: str | None) -> None:
    """ModuleInfo's reference functions are written in Python, independent of torch's kernels."""
    checked = 0
    for entry in torch_samples.MODULES:
        for sample in torch_samples.samples(entry, torch.float64):
            if sample.reference is not None:
                module = sample.make(True, backend, lambda value: value)
                args = [arg.detach() for arg in sample.args]
                expected = sample.reference(module, *args)
                torch.testing.assert_close(module(*args), expected, equal_nan=True, check_dtype=False)
                checked += 1
    assert checked > 100


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", torch_samples.FLOATING, ids=lambda dtype: str(dtype)[6:])
def test_error_inputs(dtype: torch.dtype, backend: str | None) -> None:
    count = 0
    for error in torch_samples.error_samples(dtype):
        theirs = outcome(lambda error=error: error.sample.run(ours=False))
        ours = outcome(lambda error=error: error.sample.run(ours=True, backend=backend))
        assert isinstance(theirs, Exception)
        count += 1
        torch_samples.tried[str(backend)] += 1
        assert (type(ours), first_line(ours)) == (type(theirs), str(theirs)), (error.sample.label, ours)
        assert isinstance(ours, error.kind) and re.search(error.pattern, str(ours))
        torch_samples.passed[str(backend)] += 1
    assert count == torch_samples.ERROR_INPUTS


def test_who_is_left_to_torch() -> None:
    """No sample of torch's is served by torch: the list of exceptions is empty, and stays so knowingly."""
    assert torch_samples.SERVED_BY_TORCH == {}


def test_a_planted_fault_is_seen() -> None:
    """The comparison can fail: values off by two roundings, a wrong dtype, NaN where torch has a number."""
    truth = torch.linspace(1, 2, 9, dtype=torch.float64)
    for dtype in (torch.float64, torch.float32, *HALVES):
        right = truth.to(dtype)
        step = (ROUNDINGS[dtype] + 2) * torch.finfo(dtype).eps
        check_close("right", right, right, truth)
        for wrong in (
            right + 2 * step,
            right.to(torch.float32 if dtype == torch.float64 else torch.float64),
            right / 0,
        ):
            with pytest.raises(AssertionError):
                check_close("wrong", wrong, right, truth)
