"""Where crossent differs from torch on purpose: each entry of docs/differences.md, in its order.

Each test shows both sides, so that an entry goes when torch changes.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

import crossent
from devices import as_on_a_device
from serving import BACKENDS, first_line, outcome

pytestmark = pytest.mark.usefixtures("no_small_calls")
EVERY_BACKEND = pytest.mark.parametrize("backend", BACKENDS)
HALVES = pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)


def x(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> torch.Tensor:
    return 2 * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


@EVERY_BACKEND
def test_d1_float16_mean_of_many_rows(backend: str | None) -> None:
    """torch keeps the denominator in float16: above 65504 rows it is inf, and loss and gradient are 0."""
    a, labels = x(70000, 3, dtype=torch.float16).requires_grad_(), torch.arange(70000) % 3
    assert not F.cross_entropy(a, labels) > 0.5  # 0, or NaN where the sum is inf too
    exact = F.cross_entropy(a.detach().double(), labels)
    for options in ({}, {"label_smoothing": 0.1}, {"weight": torch.ones(3, dtype=torch.float16)}):
        loss = crossent.cross_entropy(a, labels, **options, backend=backend)
        truth = F.cross_entropy(a.detach().double(), labels, **{k: v for k, v in options.items() if k != "weight"})
        assert abs(loss.double() - truth) <= torch.finfo(torch.float16).eps * truth
    loss = crossent.cross_entropy(a, labels, out_dtype=torch.float32, backend=backend)
    torch.testing.assert_close(loss.double(), exact, rtol=1e-6, atol=0)
    (gradient,) = torch.autograd.grad(loss, a, torch.tensor(1000.0))
    leaf = a.detach().double().requires_grad_()
    (exact_gradient,) = torch.autograd.grad(F.cross_entropy(leaf, labels), leaf, torch.tensor(1000.0).double())
    assert (gradient.double() - exact_gradient).abs().max() <= 1e-3 * exact_gradient.abs().max()
    loss = crossent.nll_loss(a.log_softmax(1), labels, backend=backend)
    assert abs(loss.double() - exact) <= 2e-3 * exact


@EVERY_BACKEND
def test_d1_bfloat16_counts_and_sums(backend: str | None) -> None:
    """bfloat16 cannot count beyond 256; sums of many rows are added up in bfloat16 by torch."""
    a, labels = torch.zeros(257, 2, dtype=torch.bfloat16), torch.zeros(257, dtype=torch.int64)
    total = crossent.cross_entropy(a.repeat(16, 1), labels.repeat(16), reduction="sum", backend=backend)
    exact = 257 * 16 * torch.tensor(2.0, dtype=torch.float64).log()
    assert abs(total.double() - exact) <= torch.finfo(torch.bfloat16).eps / 2 * exact
    theirs = F.cross_entropy(a.repeat(16, 1), labels.repeat(16), reduction="sum")
    assert abs(total.double() - exact) <= abs(theirs.double() - exact)
    weight = torch.tensor([1.0, 1.0], dtype=torch.bfloat16)
    mean = crossent.nll_loss(-torch.ones_like(a), labels, weight, out_dtype=torch.float32, backend=backend)
    assert mean == 1.0


@EVERY_BACKEND
@HALVES
def test_d1_log_softmax_is_rounded_once(dtype: torch.dtype, backend: str | None) -> None:
    """torch's CPU kernel rounds the sum of exponentials to 16 bits before the logarithm (last dimension)."""
    a = x(8, 5000, dtype=dtype)
    exact = a.double().log_softmax(1)
    mine, theirs = (
        (result.double() - exact).abs().max()
        for result in (crossent.log_softmax(a, 1, backend=backend), F.log_softmax(a, 1))
    )
    rounding = torch.finfo(dtype).eps / 2 * 2 ** exact.abs().max().log2().floor()
    assert mine <= rounding * (1 + 1e-3) and mine <= theirs


@EVERY_BACKEND
@pytest.mark.parametrize("garbage", [torch.nan, torch.inf, -torch.inf], ids=repr)
@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1}, {"reduction": "sum"}, {"weight": torch.ones(4)}])
def test_d2_ignored_rows_have_no_gradient(options: dict, garbage: float, backend: str | None) -> None:
    a = x(3, 4)
    a[1] = garbage
    labels = torch.tensor([0, -100, 2])
    gradients = []
    for home, more in ((crossent, {"backend": backend}), (F, {})):
        leaf = a.clone().requires_grad_()
        loss = home.cross_entropy(leaf, labels, **options, **more)
        gradients.append(torch.autograd.grad(loss, leaf)[0])
        assert home is F or loss.isfinite()
    assert (gradients[0][1] == 0).all() and gradients[1][1].isnan().all()
    torch.testing.assert_close(gradients[0][[0, 2]], gradients[1][[0, 2]])
    hessian = torch.func.hessian(lambda z: crossent.cross_entropy(z, labels, **options))(a)
    assert (hessian[1] == 0).all() and hessian.isfinite().all()


@EVERY_BACKEND
def test_offsets_cost_no_digits(backend: str | None) -> None:
    """Not a difference, a trap for others: logits near 1e4 lose four digits where max + log-sum is one float32."""
    a, labels = x(64, 50) + 1e4, torch.arange(64) % 50
    leaf, exact = a.clone().requires_grad_(), a.double().requires_grad_()
    loss, truth = crossent.cross_entropy(leaf, labels, backend=backend), F.cross_entropy(exact, labels)
    torch.testing.assert_close(loss.double(), truth, rtol=1e-6, atol=0)
    mine, theirs = torch.autograd.grad(loss, leaf)[0].double(), torch.autograd.grad(truth, exact)[0]
    assert (mine - theirs).abs().max() <= 1e-6 * theirs.abs().max()


@EVERY_BACKEND
@pytest.mark.parametrize("function", ["cross_entropy", "nll_loss"])
def test_d3_unbatched_input_with_one_target_in_a_vector(function: str, backend: str | None) -> None:
    """torch's forward takes (C), (1,) and its backward refuses what the forward took; torch 2.8 refuses both."""
    leaf, other = x(4).requires_grad_(), x(4).requires_grad_()
    loss = getattr(crossent, function)(leaf, torch.tensor([2]), backend=backend)
    torch.testing.assert_close(loss, getattr(F, function)(other, torch.tensor(2)))
    assert "size mismatch" in str(outcome(lambda: getattr(F, function)(other, torch.tensor([2])).backward()))
    loss.backward()
    getattr(F, function)(other, torch.tensor(2)).backward()
    torch.testing.assert_close(leaf.grad, other.grad)


@EVERY_BACKEND
def test_d3_label_smoothing_of_such_labels(backend: str | None) -> None:
    """With smoothing torch refuses (C), (1,) at once, and the weighted mean of labels of type uint8."""
    one, byte = torch.tensor([2]), torch.tensor([2, 0], dtype=torch.uint8)
    weighted = {"weight": torch.tensor([1.0, 2.0, 3.0, 4.0]), "label_smoothing": 0.1}
    for input, labels, options in ((x(4), one, {"label_smoothing": 0.1}), (x(2, 4), byte, weighted)):
        assert isinstance(outcome(lambda a=input, y=labels, o=options: F.cross_entropy(a, y, **o)), RuntimeError)
        ours = crossent.cross_entropy(input, labels, **options, backend=backend)
        usual = labels.long() if labels is byte else labels[0]
        torch.testing.assert_close(ours, F.cross_entropy(input, usual, **options))


@EVERY_BACKEND
def test_d4_nll_loss_of_a_channels_last_input(backend: str | None) -> None:
    leaf = x(2, 3, 4, 5).contiguous(memory_format=torch.channels_last).requires_grad_()
    labels = torch.randint(3, (2, 4, 5))
    assert "grad_input must be contiguous" in str(outcome(lambda: F.nll_loss(leaf, labels).backward()))
    crossent.nll_loss(leaf, labels, backend=backend).backward()
    other = leaf.detach().contiguous().requires_grad_()
    F.nll_loss(other, labels).backward()
    torch.testing.assert_close(leaf.grad, other.grad)


@EVERY_BACKEND
def test_d5_no_classes(backend: str | None) -> None:
    """0 / 0 and 0 * inf of torch's own making: the mean of rows that are all 0 is 0."""
    a = x(2, 0)
    assert F.cross_entropy(a, a).isnan() and crossent.cross_entropy(a, a, backend=backend) == 0
    none, labels = x(0, 0), torch.zeros(0, dtype=torch.int64)
    options = {"reduction": "sum", "label_smoothing": 0.1}
    assert F.cross_entropy(none, labels, **options).isnan()
    assert crossent.cross_entropy(none, labels, **options, backend=backend) == 0
    ignored = torch.full((2, 3), -100)
    refusal = outcome(lambda: F.cross_entropy(x(2, 0, 3), ignored, reduction="sum"))
    assert "size mismatch" in str(refusal)
    assert crossent.cross_entropy(x(2, 0, 3), ignored, reduction="sum", backend=backend) == 0


@EVERY_BACKEND
@pytest.mark.parametrize("function", ["cross_entropy", "nll_loss"])
def test_d6_logits_modified_after_the_forward(function: str, backend: str | None) -> None:
    """torch saves log-probabilities, crossent the logits; so changing them raises autograd's own error."""
    leaf = x(3, 4).requires_grad_()
    logits = leaf * 1
    loss = getattr(crossent, function)(logits, torch.tensor([0, 1, 2]), reduction="none", backend=backend)
    logits.detach().zero_()
    assert "modified by an inplace operation" in str(outcome(lambda: loss.sum().backward()))


@EVERY_BACKEND
def test_d7_log_softmax_to_another_dtype(backend: str | None) -> None:
    """torch rounds the input to the dtype first; crossent rounds the result, once."""
    a = x(4, 300)
    exact = a.double().log_softmax(1)
    mine, theirs = (
        (result.double() - exact).abs().max()
        for result in (
            crossent.log_softmax(a, 1, dtype=torch.bfloat16, backend=backend),
            F.log_softmax(a, 1, dtype=torch.bfloat16),
        )
    )
    assert mine < theirs


@pytest.mark.parametrize("bad", [4, -1, 2**40])
def test_d8_targets_out_of_range_on_a_device(bad: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the CPU an IndexError, as in torch; where the target cannot be looked at, NaN in that row alone."""
    leaf, labels = x(3, 4).requires_grad_(), torch.tensor([0, bad, 2])
    assert isinstance(outcome(lambda: crossent.cross_entropy(leaf, labels)), IndexError)
    with as_on_a_device(monkeypatch):
        rows = crossent.cross_entropy(leaf, labels, reduction="none", backend="reference")
        (gradient,) = torch.autograd.grad(rows, leaf, torch.ones_like(rows))
    expected = F.cross_entropy(leaf[::2], labels[::2], reduction="none")
    torch.testing.assert_close(rows[::2], expected)
    torch.testing.assert_close(gradient[::2], torch.autograd.grad(expected.sum(), leaf)[0][::2])
    assert rows[1].isnan() and gradient[1].isnan().all()


@EVERY_BACKEND
@pytest.mark.parametrize("label", [9, 255])
def test_d9_bytes_out_of_range_without_a_reduction(label: int, backend: str | None) -> None:
    labels = torch.tensor([0, label, 3], dtype=torch.uint8)
    theirs = outcome(lambda: F.cross_entropy(x(3, 4), labels, reduction="none"))
    assert isinstance(theirs, (IndexError, UnicodeDecodeError)) and str(label) not in str(theirs)
    ours = outcome(lambda: crossent.cross_entropy(x(3, 4), labels, reduction="none", backend=backend))
    assert isinstance(ours, IndexError) and first_line(ours) == f"Target {label} is out of bounds."


def test_every_entry_of_the_page_has_a_test() -> None:
    page = (Path(__file__).parent.parent / "docs" / "differences.md").read_text(encoding="utf-8")
    entries = set(re.findall(r"^## (\d+)\.", page, re.MULTILINE))
    tested = set(re.findall(r"def test_d(\d+)_", Path(__file__).read_text(encoding="utf-8")))
    assert entries == tested
