"""torch's own samples under every explicit backend and under backend=None; see torch_samples.py.

For each sample: dtype, shape, value, gradient, second derivatives (float64), and who served it. Our error
against float64 arithmetic on the same inputs is at most torch's own error plus a bound: one rounding for
16-bit results, a few for float32, 1e-12 relative for float64.
"""

from __future__ import annotations

import re

import pytest
import torch

import torch_samples
from sample_checks import ROUNDINGS, check_close, check_sample
from serving import BACKENDS, first_line, outcome
from torch_samples import HALVES

ENTRIES = [pytest.param(entry, dtype, id=f"{entry}-{str(dtype)[6:]}") for entry, dtype in torch_samples.entries()]
# torch's with_dtype samples convert complex inputs, with a warning of torch's own that they lose the imaginary part
pytestmark = [
    pytest.mark.usefixtures("no_small_calls"),
    pytest.mark.filterwarnings("ignore:Casting complex values to real:UserWarning"),
    pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental:UserWarning"),
]


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
