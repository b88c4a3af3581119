"""torch's own test samples of the three functions and the three modules, as data.

Every OpInfo sample and error input and every ModuleInfo sample and error input that the installed torch
ships (``torch.testing._internal``). A sample knows how to run itself with torch's loss and with ours.
"""

from __future__ import annotations

import functools
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
import torch.nn.functional as F

import crossent

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from torch.testing._internal.common_methods_invocations import op_db
    from torch.testing._internal.common_modules import module_db

HALVES = (torch.bfloat16, torch.float16)
FLOATING = (torch.float64, torch.float32, *HALVES)
FUNCTIONS = {
    "nn.functional.cross_entropy": (F.cross_entropy, "cross_entropy"),
    "nn.functional.nll_loss": (F.nll_loss, "nll_loss"),
    "log_softmax": (F.log_softmax, "log_softmax"),
}
MODULES = ("nn.CrossEntropyLoss", "nn.NLLLoss", "nn.LogSoftmax")

# entry -> how many of its samples torch itself serves (no backend can), and why. Empty: every sample of
# torch's is served by a backend.
SERVED_BY_TORCH: dict[str, tuple[int, str]] = {}

passed: Counter[str] = Counter()  # by backend, filled by test_torch_samples.py, read by conftest.py
tried: Counter[str] = Counter()


@dataclass(frozen=True)
class Sample:
    """One call: ``make(ours, backend)`` gives the callable, ``args`` and ``kwargs`` its arguments."""

    entry: str
    label: str
    make: Callable[[bool, str | None, Callable[[Any], Any]], Callable[..., torch.Tensor]]
    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)
    reference: Callable[..., Any] | None = None  # ModuleInfo's, in Python

    def run(self, *, ours: bool, backend: str | None = None, wide: bool = False) -> tuple[Any, list[torch.Tensor]]:
        """The result and the leaves that require a gradient; ``wide``: everything in float64."""
        convert = functools.partial(_fresh, wide=wide)
        args = [convert(value) for value in self.args]
        kwargs = {name: convert(value) for name, value in self.kwargs.items()}
        leaves = [t for t in (*args, *kwargs.values()) if isinstance(t, torch.Tensor) and t.requires_grad]
        return self.make(ours, backend, convert)(*args, **kwargs), leaves


def _fresh(value: Any, *, wide: bool) -> Any:
    """A new leaf of a tensor, so that no two runs share a graph."""
    if not isinstance(value, torch.Tensor):
        return value
    fresh = value.detach().clone()
    if wide and fresh.is_floating_point():
        fresh = fresh.to(torch.float64)
    return fresh.requires_grad_(value.requires_grad)


def _function(name: str) -> Callable[[bool, str | None, Callable[[Any], Any]], Callable[..., torch.Tensor]]:
    theirs, ours_name = FUNCTIONS[name]

    def make(ours: bool, backend: str | None, convert: Callable[[Any], Any]) -> Callable[..., torch.Tensor]:
        return functools.partial(getattr(crossent, ours_name), backend=backend) if ours else theirs

    return make


def _module(name: str, constructor: Any) -> Callable[[bool, str | None, Callable[[Any], Any]], Callable[..., Any]]:
    short = name.removeprefix("nn.")

    def make(ours: bool, backend: str | None, convert: Callable[[Any], Any]) -> Callable[..., Any]:
        args = [convert(value) for value in constructor.args]
        kwargs = {key: convert(value) for key, value in constructor.kwargs.items()}
        if ours:
            return getattr(crossent, short)(*args, **kwargs, backend=backend)
        return getattr(torch.nn, short)(*args, **kwargs)

    return make


def op_infos() -> list[Any]:
    return [op for op in op_db if op.name in FUNCTIONS]


def module_infos() -> list[Any]:
    return [module for module in module_db if module.name in MODULES]


def entry_name(op: Any) -> str:
    return f"{op.name} {op.variant_test_name}".strip()


def entries() -> Iterator[tuple[str, torch.dtype]]:
    """Every entry with every dtype that it declares; the modules with every floating dtype."""
    for op in op_infos():
        for dtype in sorted(op.supported_dtypes("cpu"), key=str):
            yield entry_name(op), dtype
    for module in module_infos():
        for dtype in FLOATING:
            yield module.name, dtype


def samples(entry: str, dtype: torch.dtype, device: str = "cpu") -> Iterator[Sample]:
    """The samples of one entry, the same ones in every run."""
    torch.manual_seed(20)
    differentiable = dtype.is_floating_point or dtype.is_complex
    for op in op_infos():
        if entry_name(op) == entry:
            for index, sample in enumerate(op.sample_inputs(device, dtype, requires_grad=differentiable)):
                yield Sample(entry, str(index), _function(op.name), (sample.input, *sample.args), sample.kwargs)
    for module in module_infos():
        if module.name == entry:
            inputs = module.module_inputs_func(module, device=device, dtype=dtype, requires_grad=True, training=True)
            for index, sample in enumerate(inputs):
                yield replace(
                    _from_module(module.name, f"{index} {sample.desc}", sample), reference=sample.reference_fn
                )


def _from_module(entry: str, label: str, sample: Any) -> Sample:
    forward = sample.forward_input
    return Sample(entry, label, _module(entry, sample.constructor_input), tuple(forward.args), dict(forward.kwargs))


@dataclass(frozen=True)
class ErrorSample:
    sample: Sample
    kind: type[Exception]
    pattern: str


ERROR_INPUTS = 8 if any(module.module_error_inputs_func is not None for module in module_infos()) else 0  # 2.8: none


def error_samples(dtype: torch.dtype) -> Iterator[ErrorSample]:
    """Every error input of every entry (2.13: OpInfo has none for these functions, ModuleInfo has eight)."""
    torch.manual_seed(20)
    for op in op_infos():
        if op.error_inputs_func is not None:
            for index, error in enumerate(op.error_inputs("cpu")):
                given = error.sample_input
                sample = Sample(
                    entry_name(op), str(index), _function(op.name), (given.input, *given.args), given.kwargs
                )
                yield ErrorSample(sample, error.error_type, error.error_regex)
    for module in module_infos():
        if module.module_error_inputs_func is not None:
            errors = module.module_error_inputs_func(
                module, device="cpu", dtype=dtype, requires_grad=True, training=True
            )
            for index, error in enumerate(errors):
                sample = _from_module(module.name, str(index), error.module_error_input)
                yield ErrorSample(sample, error.error_type, error.error_regex)


def report() -> list[str]:
    """The line that is printed after the tests; empty when they did not run."""
    if not tried:
        return []
    return ["torch's own samples: " + ", ".join(f"{passed[name]} of {tried[name]} pass under {name}" for name in tried)]
