"""torch's own samples of linear_cross_entropy under every backend, as they are and with chunking forced on.

Every OpInfo sample and error input (plain, chunked, chunked with reduction none) and every ModuleInfo
sample and error input. The truth is torch's plain path on the same inputs in float64, the bar torch's plain
path in the sample's dtype: our error is at most its error plus a bound.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

import crossent
from crossent import LinearPlan, internals
from serving import BACKENDS, first_line, outcome, serving

if internals.torch_linear is None:
    pytest.skip("torch has no linear_cross_entropy before 2.13", allow_module_level=True)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from torch.testing._internal.common_methods_invocations import op_db
    from torch.testing._internal.common_modules import module_db

F64, F32, BF16, F16 = torch.float64, torch.float32, torch.bfloat16, torch.float16
ENGINES = [parameter for parameter in BACKENDS if parameter.values[0] is not None]
OPS = {op.variant_test_name: op for op in op_db if op.name == "nn.functional.linear_cross_entropy"}
MODULE = next(module for module in module_db if module.name == "nn.LinearCrossEntropyLoss")
FORCED = LinearPlan(rows=2)
# Roundings of the largest element beside torch's own error, as in test_torch_samples.py; and one of each term.
ROUNDINGS = {F64: 4096, F32: 8, BF16: 2, F16: 2}

Run = Callable[..., torch.Tensor]


def fresh(value: Any, dtype: torch.dtype | None) -> Any:
    """A new leaf of a tensor, in ``dtype`` where one is given."""
    if not isinstance(value, torch.Tensor):
        return value
    new = value.detach().clone()
    if dtype is not None and new.is_floating_point():
        new = new.to(dtype)
    return new.requires_grad_(value.requires_grad)


def run_op(sample: Any, function: Run, dtype: torch.dtype | None = None, **how: Any) -> tuple[torch.Tensor, list[Any]]:
    args = [fresh(value, dtype) for value in (sample.input, *sample.args)]
    keywords = {name: fresh(value, dtype) for name, value in sample.kwargs.items()}
    result = function(*args, **(keywords | how))
    return result, [
        value for value in (*args, *keywords.values()) if isinstance(value, torch.Tensor) and value.requires_grad
    ]


def run_module(sample: Any, kind: Any, dtype: torch.dtype, **how: Any) -> tuple[torch.Tensor, list[Any]]:
    given = {name: fresh(value, dtype) for name, value in sample.constructor_input.kwargs.items()}
    torch.manual_seed(5)  # the same head in every run: drawn in float64, then rounded to the sample's dtype
    module = kind(*sample.constructor_input.args, **(given | {"dtype": F64} | how)).to(how.get("dtype", dtype))
    args = [fresh(value, dtype) for value in sample.forward_input.args]
    leaves = [value for value in (*args, *module.parameters()) if value.requires_grad]
    return module(*args), leaves


def check_close(ours: Any, theirs: Any, truth: Any) -> None:
    """dtype, shape, and distance to the truth of a result or a gradient."""
    assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
    wide, other, truth = ours.double(), theirs.double(), truth.double()
    finite = truth.isfinite()
    assert torch.equal(wide[~finite].nan_to_num(7.0), other[~finite].nan_to_num(7.0))
    wide, other, truth = wide[finite], other[finite], truth[finite]
    if truth.numel():
        allowed = (other - truth).abs().max() + ROUNDINGS[ours.dtype] * torch.finfo(
            ours.dtype
        ).eps * truth.abs().max().clamp(min=0.1)
        assert (wide - truth).abs().max() <= allowed, (float((wide - truth).abs().max()), float(allowed))


def compare(ours: tuple[Any, list[Any]], theirs: tuple[Any, list[Any]], truth: tuple[Any, list[Any]]) -> None:
    for mine, other, exact in zip((ours[0],), (theirs[0],), (truth[0],), strict=True):
        check_close(mine, other, exact)
    upstream = torch.randn(truth[0].shape, dtype=F64, generator=torch.Generator().manual_seed(1)).to(ours[0].dtype)
    grads = [
        torch.autograd.grad(result, leaves, upstream.to(result.dtype)) if leaves else ()
        for result, leaves in (ours, theirs, truth)
    ]
    for mine, other, exact in zip(*grads, strict=True):
        check_close(mine, other, exact)


def op_samples(variant: str, dtype: torch.dtype) -> Iterator[Any]:
    torch.manual_seed(20)
    yield from OPS[variant].sample_inputs("cpu", dtype, requires_grad=True)


def in_turn(samples: Iterator[Any], check: Callable[[Any], None]) -> None:
    count = 0
    for index, sample in enumerate(samples):
        count += 1
        try:
            check(sample)
        except AssertionError as error:
            raise AssertionError(f"sample {index}: {error}\n{sample}") from error
    assert count > 50


# (variant, dtype, chunking forced); the rest of them are slow only in their number
ALL = [(variant, dtype, forced) for variant in OPS for dtype in ROUNDINGS for forced in (False, True)]
FAST = {(variant, dtype, dtype == F64) for variant in OPS for dtype in (F64, BF16)}


@pytest.mark.filterwarnings("ignore:linear_cross_entropy")
@pytest.mark.parametrize("backend", ENGINES)
@pytest.mark.parametrize(
    ("variant", "dtype", "forced"),
    [pytest.param(*entry, marks=[] if entry in FAST else [pytest.mark.slow]) for entry in ALL],
)
def test_op_samples(variant: str, dtype: torch.dtype, backend: str, forced: bool) -> None:
    def check(sample: Any) -> None:
        plain = {"options": None}
        truth = run_op(sample, internals.torch_linear, F64, **plain)
        theirs = run_op(sample, internals.torch_linear, **plain)
        how = {"options": FORCED} if forced else {}
        with serving() as calls:
            ours = run_op(sample, crossent.linear_cross_entropy, backend=backend, **how)
        assert [call.by for call in calls] == [backend]
        compare(ours, theirs, truth)

    in_turn(op_samples(variant, dtype), check)


@pytest.mark.parametrize("forced", [False, True], ids=["as-is", "chunked"])
@pytest.mark.parametrize("backend", ENGINES)
@pytest.mark.parametrize(
    "dtype", [F32, *(pytest.param(dtype, marks=pytest.mark.slow) for dtype in (F64, BF16, F16))], ids=str
)
def test_module_samples(dtype: torch.dtype, backend: str, forced: bool) -> None:
    def check(sample: Any) -> None:
        theirs = run_module(sample, torch.nn.LinearCrossEntropyLoss, dtype, options=None)
        truth_sample_dtype = {"dtype": F64}
        truth = run_rounded(sample, dtype, truth_sample_dtype)
        how = {"options": FORCED} if forced else {}
        with serving() as calls:
            ours = run_module(sample, crossent.LinearCrossEntropyLoss, dtype, backend=backend, **how)
        assert [call.by for call in calls] == [backend]
        compare(ours, theirs, truth)

    inputs = MODULE.module_inputs_func(MODULE, device="cpu", dtype=dtype, requires_grad=True, training=True)
    in_turn((sample for index, sample in enumerate(inputs) if dtype != F32 or index % 8 == 0), check)


def run_rounded(sample: Any, dtype: torch.dtype, how: dict[str, Any]) -> tuple[torch.Tensor, list[Any]]:
    """The module in float64 with the parameters that the module in ``dtype`` has."""
    given = {name: fresh(value, F64) for name, value in sample.constructor_input.kwargs.items()}
    torch.manual_seed(5)
    module = torch.nn.LinearCrossEntropyLoss(*sample.constructor_input.args, **(given | how | {"options": None}))
    module = module.to(dtype).to(F64)
    args = [fresh(value, F64) for value in sample.forward_input.args]
    return module(*args), [value for value in (*args, *module.parameters()) if value.requires_grad]


def refused(function: Run, sample: Any, **how: Any) -> Any:
    return outcome(lambda: function(sample.input, *sample.args, **{**sample.kwargs, "options": None, **how}))


def test_error_inputs() -> None:
    """Type and first line of torch's refusal, with a code and advice below."""
    known = [error for op in OPS.values() for error in op.error_inputs("cpu")]
    assert len(known) == 18
    for error in known:
        theirs = refused(internals.torch_linear, error.sample_input)
        for backend in (None, "reference"):
            ours = refused(crossent.linear_cross_entropy, error.sample_input, backend=backend)
            assert type(ours) is type(theirs) is error.error_type, (ours, theirs)
            assert re.search(error.error_regex, str(ours))
            assert first_line(ours) == str(theirs)
            assert ours.crossent_code


def test_module_error_inputs() -> None:
    errors = MODULE.module_error_inputs_func(MODULE, device="cpu", dtype=F32, requires_grad=True, training=True)
    for error in errors:
        sample = error.module_error_input

        def build(kind: Any, sample: Any = sample) -> Any:
            module = kind(*sample.constructor_input.args, **sample.constructor_input.kwargs)
            return module(*sample.forward_input.args, **sample.forward_input.kwargs)

        ours, theirs = (
            outcome(lambda k=k: build(k)) for k in (crossent.LinearCrossEntropyLoss, torch.nn.LinearCrossEntropyLoss)
        )
        assert type(ours) is type(theirs) is error.error_type
        assert first_line(ours) == str(theirs)
