"""crossent's own refusals, word for word, and every value that earns one. See test_error_texts.py."""

# ruff: noqa: E501  # the texts are as they are printed

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from expecttest import assert_expected_inline

import crossent
from serving import BACKENDS, expected_server, first_line, outcome, served_by

pytestmark = pytest.mark.usefixtures("no_small_calls")

cross_entropy, nll_loss = crossent.cross_entropy, crossent.nll_loss
X, Y, SEQ, TOKENS = (
    torch.zeros(3, 4),
    torch.tensor([0, 1, 2]),
    torch.zeros(2, 5, 4),
    torch.zeros(2, 5, dtype=torch.int64),
)


def whole(call: Callable[[], Any]) -> str:
    """A refusal of crossent's own: type and text."""
    exception = outcome(call)
    assert isinstance(exception, Exception), exception
    return f"{type(exception).__name__}: {exception}"


BAD_VALUES: list[tuple[str, Any]] = [
    *(("softcap", value) for value in (0, 0.0, -1.0, float("nan"), float("inf"), True, "30", torch.tensor(3.0))),
    *(("z_loss", value) for value in (-1e-4, float("nan"), None, "1", True)),
    *(("out_dtype", value) for value in (torch.int64, torch.complex64, "float32", torch.float8_e4m3fn)),
    *(("if_all_ignored", value) for value in ("one", None, 0)),
    *(("backend", value) for value in ("numba", "", 0, "CPU")),
    *(("class_dim", value) for value in (1.0, "1", True)),
    *(("shift", value) for value in (-1, 1.0, True, None)),
    *(("logit_scale", value) for value in (float("nan"), float("inf"), True, "1", [1.0])),
]


@pytest.mark.parametrize(("option", "value"), BAD_VALUES, ids=[f"{name}={value!r}" for name, value in BAD_VALUES])
def test_xen030_every_bad_value(option: str, value: Any) -> None:
    for function in (crossent.cross_entropy, crossent.cross_entropy_with_stats):
        with pytest.raises(ValueError, match=re.escape(f"{option}={value!r} is not a value of this option")) as refused:
            function(X, Y, **{option: value})
        assert refused.value.crossent_code == "XEN030"


def test_xen030_option_value() -> None:
    assert_expected_inline(
        whole(lambda: cross_entropy(X, Y, softcap=0)),
        """\
ValueError: softcap=0 is not a value of this option
  crossent XEN030 (option-value)
  expected: softcap: a finite number > 0, or None for none
  write:    softcap=30.0""",
    )


def test_xen030_of_an_unknown_backend() -> None:
    assert_expected_inline(
        whole(lambda: nll_loss(X, Y, backend="numba")),
        """\
ValueError: backend='numba' is not a value of this option
  crossent XEN030 (option-value)
  expected: backend: None | 'reference' | 'cpu' | 'gpu'
  write:    backend=None""",
    )


MODULES: list[tuple[Callable[..., torch.nn.Module], dict[str, Any], str]] = [
    (crossent.CrossEntropyLoss, {"softcap": -1}, "XEN030"),
    (crossent.CrossEntropyLoss, {"shift": 1}, "XEN031"),
    (crossent.CrossEntropyLoss, {"denominator": -1.0}, "XEN033"),
    (crossent.CrossEntropyLoss, {"denominator": 1.0, "reduction": "sum"}, "XEN032"),
    (crossent.NLLLoss, {"if_all_ignored": "one"}, "XEN030"),
    (crossent.LogSoftmax, {"dim": 1, "backend": "numba"}, "XEN030"),
    (crossent.LinearCrossEntropyLoss, {"softcap": -1}, "XEN030"),
    (crossent.LinearCrossEntropyLoss, {"shift": -1}, "XEN030"),
    (crossent.LinearCrossEntropyLoss, {"memory_budget": 0}, "XEN030"),
    (crossent.LinearCrossEntropyLoss, {"filter_eps": 2}, "XEN030"),
    (crossent.LinearCrossEntropyLoss, {"denominator": -1}, "XEN033"),
]


@pytest.mark.parametrize(("module", "values", "code"), MODULES, ids=str)
def test_modules_refuse_bad_values_where_they_are_written(
    module: Callable[..., torch.nn.Module], values: dict[str, Any], code: str
) -> None:
    sizes = {"in_features": 4, "num_classes": 6} if module is crossent.LinearCrossEntropyLoss else {}
    refusal = outcome(lambda: module(**sizes, **values))
    assert isinstance(refusal, ValueError) and refusal.crossent_code == code, repr(refusal)


def test_a_module_shows_torchs_options_beside_ours() -> None:
    assert repr(crossent.CrossEntropyLoss(label_smoothing=0.1)) == "CrossEntropyLoss()"  # torch's
    shown = repr(crossent.CrossEntropyLoss(label_smoothing=0.1, z_loss=1e-4))
    assert shown == "CrossEntropyLoss(label_smoothing=0.1, z_loss=0.0001)"


def test_xen031_shift_needs_class_dim() -> None:
    assert_expected_inline(
        whole(lambda: cross_entropy(SEQ, TOKENS, shift=1)),
        """\
ValueError: shift=1 without class_dim: in (N, C) logits it is unknown where a sequence ends
  crossent XEN031 (shift-needs-class-dim)
  expected: logits (B, T, V) with class_dim=-1, or (B, V, T) with class_dim=1
  write:    cross_entropy(logits, tokens, class_dim=-1, shift=1)""",
    )


def test_xen032_denominator_needs_mean() -> None:
    assert_expected_inline(
        whole(lambda: cross_entropy(X, Y, reduction="sum", denominator=3)),
        """\
ValueError: denominator= replaces the sum of weights of a mean; reduction is 'sum'
  crossent XEN032 (denominator-needs-mean)
  expected: reduction='mean' (the default)
  write:    reduction='mean', or divide the result yourself""",
    )


def test_xen033_denominator() -> None:
    needs = torch.tensor(3.0, requires_grad=True)
    assert_expected_inline(
        whole(lambda: cross_entropy(X, Y, denominator=needs)),
        """\
ValueError: the denominator is () float32 that requires a gradient
  crossent XEN033 (denominator)
  expected: a finite number >= 0, or a tensor with one element that needs no gradient
  write:    denominator=int((target != ignore_index).sum()); of a tensor denominator.detach(), or its .sum()""",
    )


@pytest.mark.parametrize(
    "value", [torch.ones(2), torch.ones(0), torch.tensor(1j), True, "3", [3.0], -1, -0.5, math.nan, math.inf], ids=repr
)
def test_xen033_every_bad_denominator(value: Any) -> None:
    for function in (cross_entropy, nll_loss):
        with pytest.raises(ValueError, match="the denominator is") as refused:
            function(X, Y, denominator=value)
        assert refused.value.crossent_code == "XEN033"


def test_xen034_option_shape() -> None:
    assert_expected_inline(
        whole(lambda: cross_entropy(SEQ, TOKENS, class_dim=-1, sample_weight=torch.ones(2))),
        """\
ValueError: sample_weight is (2,) float32
  crossent XEN034 (option-shape)
  expected: sample_weight of shape (2, 5), on the input's device
  write:    torch.as_tensor(sample_weight, device=input.device), expanded or reshaped to (2, 5)""",
    )


@pytest.mark.parametrize("option", ["sample_weight", "logit_scale"])
@pytest.mark.parametrize("value", [torch.ones(4), torch.ones(3, 1), torch.ones(3, device="meta"), torch.ones(3) * 1j])
def test_xen034_every_bad_shape(option: str, value: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=option) as refused:
        cross_entropy(X, Y, **{option: value})
    assert refused.value.crossent_code == "XEN034"


def test_xen034_sample_weight_is_a_tensor() -> None:
    assert_expected_inline(
        whole(lambda: cross_entropy(X, Y, sample_weight=0.5)),
        """\
ValueError: sample_weight is float 0.5
  crossent XEN034 (option-shape)
  expected: sample_weight of shape (3,), on the input's device
  write:    torch.as_tensor(sample_weight, device=input.device), expanded or reshaped to (3,)""",
    )


def test_xen035_shift_without_sequence() -> None:
    assert_expected_inline(
        whole(lambda: cross_entropy(X[0], Y[0], class_dim=0, shift=1)),
        """\
ValueError: shift=1 needs a target with a sequence dimension; its shape is ()
  crossent XEN035 (shift-without-sequence)
  expected: an index target (..., T)
  write:    shift=0""",
    )


def test_xen036_class_dim() -> None:
    assert_expected_inline(
        whole(lambda: cross_entropy(X, Y, class_dim=2)),
        """\
IndexError: class_dim=2 is out of range for an input of 2 dimensions
  crossent XEN036 (class-dim)
  expected: class_dim in [-2, 1]
  write:    class_dim=-1 for logits with the classes last""",
    )


def test_xen040_backend_unavailable() -> None:
    text = whole(lambda: cross_entropy(X, Y, backend="gpu"))
    text = re.sub(r"cannot run here: .*", "cannot run here: REASON", text)  # depends on what is installed
    text = re.sub(r"that can: .*", "that can: NAMES", text)
    assert_expected_inline(
        text,
        """\
RuntimeError: backend='gpu' cannot run here: REASON
  crossent XEN040 (backend-unavailable)
  expected: a backend that can: NAMES
  write:    backend=None, which chooses one that can""",
    )


def test_xen041_backend_context() -> None:
    def under_vmap() -> torch.Tensor:
        return torch.func.vmap(lambda x: cross_entropy(x, Y, backend="reference"))(X.expand(2, 3, 4))

    assert_expected_inline(
        whole(under_vmap),
        """\
RuntimeError: backend='reference' was asked for by name and cannot run under torch.func transform
  crossent XEN041 (backend-context)
  expected: backend=None: only the composite of ordinary torch operations runs there
  write:    backend=None""",
    )


class Subclass(torch.Tensor):
    """A tensor that wants to see torch's functions."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return super().__torch_function__(func, types, args, kwargs or {})


def test_xen042_reference_only() -> None:
    assert_expected_inline(
        whole(lambda: cross_entropy(X.as_subclass(Subclass), Y, z_loss=1e-4)),
        """\
RuntimeError: these arguments are served by torch alone (Subclass overrides torch functions) and cannot be combined with a crossent option
  crossent XEN042 (reference-only)
  expected: no crossent option in such a call
  write:    the call without a crossent option""",
    )


def test_xen042_of_an_explicit_backend() -> None:
    assert_expected_inline(
        whole(lambda: cross_entropy(X.as_subclass(Subclass), Y, backend="reference")),
        """\
RuntimeError: these arguments are served by torch alone (Subclass overrides torch functions) and cannot be combined with backend='reference'
  crossent XEN042 (reference-only)
  expected: no crossent option in such a call
  write:    the call without backend='reference'""",
    )


def test_xen042_of_the_stats() -> None:
    assert_expected_inline(
        whole(lambda: crossent.cross_entropy_with_stats(X.as_subclass(Subclass), Y)),
        """\
RuntimeError: these arguments are served by torch alone (Subclass overrides torch functions) and cannot be combined with cross_entropy_with_stats
  crossent XEN042 (reference-only)
  expected: no crossent option in such a call
  write:    the call without cross_entropy_with_stats""",
    )


def test_xen042_of_log_softmax() -> None:
    assert_expected_inline(
        whole(lambda: crossent.log_softmax(X.as_subclass(Subclass), 1, softcap=3.0)),
        """\
RuntimeError: these arguments are served by torch alone (Subclass overrides torch functions) and cannot be combined with crossent options
  crossent XEN042 (reference-only)
  expected: no crossent option in such a call
  write:    the call without crossent options""",
    )


NUMBERS = (
    np.int64(3),
    np.int32(3),
    np.uint8(3),
    np.float32(3),
    np.float16(3),
    np.float64(3),
    np.array(3.0),
    np.array(3),
)


@pytest.mark.parametrize("value", NUMBERS, ids=lambda value: f"{type(value).__name__}-{value.dtype}")
@pytest.mark.parametrize("backend", BACKENDS)
def test_numpy_numbers_are_numbers(value: Any, backend: str | None) -> None:
    """Wherever Python's number is taken, one of NumPy's is; an integer option takes integers only."""
    x, y = torch.randn(2, 4, 5), torch.randint(0, 4, (2, 5))
    for option in ("denominator", "logit_scale", "softcap", "z_loss"):
        for loss in (cross_entropy, nll_loss) if option == "denominator" else (cross_entropy,):
            assert_equal(loss(x, y, **{option: value}, backend=backend), loss(x, y, **{option: 3}, backend=backend))
    last = x.movedim(1, 2)
    batched = torch.func.vmap(lambda a, b: cross_entropy(a, b, denominator=value))(last, y)
    assert_equal(batched, torch.stack([cross_entropy(a, b, denominator=3.0) for a, b in zip(last, y, strict=True)]))
    for option in ("logit_scale", "softcap"):
        ours, exact = (crossent.log_softmax(x, 1, **{option: number}, backend=backend) for number in (value, 3))
        assert_equal(ours, exact)
    if value.dtype.kind != "f":
        last, tokens = torch.randn(2, 6, 7, 5), torch.randint(0, 5, (2, 6, 7))
        for given in ({"class_dim": value}, {"class_dim": value, "shift": value}):
            exact = cross_entropy(last, tokens, **dict.fromkeys(given, 3), backend=backend)
            assert_equal(cross_entropy(last, tokens, **given, backend=backend), exact)


@pytest.mark.parametrize("backend", BACKENDS)
def test_numbers_that_torch_takes_reach_every_backend(backend: str | None) -> None:
    """ignore_index and label_smoothing as NumPy numbers and 0-d tensors; what torch refuses, torch refuses."""
    x, y = torch.randn(3, 4), torch.tensor([0, 1, 2])
    for value in (np.int64(1), np.int8(1), np.array(1), torch.tensor(1)):
        ours = served_by(expected_server(backend), lambda: cross_entropy(x, y, ignore_index=value, backend=backend))  # noqa: B023
        assert_equal(ours, torch.nn.functional.cross_entropy(x, y, ignore_index=value))
    for value in (np.float32(0.125), np.float64(0.125), torch.tensor(0.125), np.int64(1)):
        ours = served_by(expected_server(backend), lambda: cross_entropy(x, y, label_smoothing=value, backend=backend))  # noqa: B023
        assert_equal(ours, torch.nn.functional.cross_entropy(x, y, label_smoothing=value))
    for refused in ({"ignore_index": np.float64(1)}, {"ignore_index": True}, {"label_smoothing": np.array(0.1)}):
        theirs = outcome(lambda: torch.nn.functional.cross_entropy(x, y, **refused))  # noqa: B023
        ours = outcome(lambda: cross_entropy(x, y, **refused, backend=backend))  # noqa: B023
        assert type(ours) is type(theirs) is TypeError and first_line(ours) == str(theirs)
        assert ours.crossent_code == "XEN013"


def assert_equal(ours: torch.Tensor, exact: torch.Tensor) -> None:
    torch.testing.assert_close(ours, exact, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("option", "value"), [("z_loss", None), ("z_loss", torch.ones(2)), ("z_loss", ""), ("shift", None),
                                               ("shift", 0.5), ("shift", []), ("inplace", None), ("inplace", 2)])  # fmt: skip
def test_values_are_refused_whatever_the_size(option: str, value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crossent.small.LIMIT_ELEMENTS", 1 << 17)
    for function in (cross_entropy, nll_loss) if option == "shift" else (cross_entropy,):
        refused = outcome(lambda: function(X, Y, **{option: value}))  # noqa: B023
        assert isinstance(refused, ValueError) and refused.crossent_code == "XEN030"  # type: ignore[attr-defined]
