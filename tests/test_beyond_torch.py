"""crossent's options against formulas written out here in float64, one row at a time, without our code.

``oracle`` is the definition of the package in plain Python over rows; gradients of the formulas come from
torch's autograd over elementary operations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

import crossent
from serving import BACKENDS, expected_server, serving

pytestmark = pytest.mark.usefixtures("no_small_calls")
EVERY_BACKEND = pytest.mark.parametrize("backend", BACKENDS)

B, T, V = 2, 6, 5
LABELS = torch.tensor([[0, 4, -100, 2, 1, 3], [3, -100, 1, 1, 0, 2]])
W = torch.tensor([0.5, 1.0, 2.0, 0.25, 1.5], dtype=torch.float64)


def x(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> torch.Tensor:
    return 2 * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def oracle(
    logits: torch.Tensor,  # (..., V)
    target: torch.Tensor,  # labels (...) or probabilities (..., V)
    weight: torch.Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    *,
    sample_weight: torch.Tensor | None = None,
    denominator: Any = None,
    logit_scale: Any = None,
    softcap: float | None = None,
    z_loss: float = 0.0,
    if_all_ignored: str = "nan",
) -> torch.Tensor:
    """The definition, row by row: z, CE_i, + z_loss * lse^2, times s_i; divided by the denominator."""
    logits = logits.double()
    classes, shape = logits.shape[-1], logits.shape[:-1]
    is_index = not target.is_floating_point()
    w = torch.ones(classes, dtype=torch.float64) if weight is None else weight.double()
    rows, below = [], []
    for i, z in enumerate(logits.reshape(-1, classes)):
        y = target.reshape(-1)[i] if is_index else target.reshape(-1, classes)[i]
        if is_index and y == ignore_index:
            rows.append(torch.zeros((), dtype=torch.float64))
            continue
        if logit_scale is not None:
            per_row = isinstance(logit_scale, torch.Tensor) and logit_scale.dim()
            z = z * (logit_scale.reshape(-1)[i] if per_row else logit_scale)
        if softcap is not None:
            z = softcap * torch.tanh(z / softcap)
        lse = torch.logsumexp(z, 0)
        log_p = z - lse
        q = (1 - label_smoothing) * (torch.eye(classes)[y] if is_index else y) + label_smoothing / classes
        hard = -(1 - label_smoothing) * w[y] * log_p[y] if is_index else None
        spread = -(label_smoothing / classes) * (w * log_p).sum() if label_smoothing else 0.0
        row = hard + spread if is_index else -(w * q * log_p).sum()
        s = 1.0 if sample_weight is None else sample_weight.reshape(-1)[i]
        rows.append(s * (row + z_loss * lse**2))
        below.append(s * (w[y] if is_index else 1.0))
    stacked = torch.stack(rows)
    if reduction == "none":
        return stacked.reshape(shape)
    if reduction == "sum":
        return stacked.sum()
    if not below and if_all_ignored == "zero":
        return stacked.sum()
    total = sum(below) if denominator is None else denominator
    return stacked.sum() / total


def compare(
    backend: str | None, ours: Callable[..., torch.Tensor], formula: Callable[..., torch.Tensor], *inputs: torch.Tensor
) -> torch.Tensor:
    """Value and gradients of a call against a formula; asserts who served. Returns our result."""
    found = []
    for run in (ours, formula):
        leaves = [value.detach().clone().requires_grad_() for value in inputs]
        with serving() as calls:
            result = run(*leaves)
        if run is ours:
            assert [call.by for call in calls] == [expected_server(backend, inputs[0].dtype)]
        upstream = torch.arange(1.0, result.numel() + 1, dtype=result.dtype).reshape(result.shape)
        found.append((result, torch.autograd.grad(result, leaves, upstream)))
    assert found[0][0].shape == found[1][0].shape
    torch.testing.assert_close(found[0][0], found[1][0], check_dtype=False, rtol=1e-9, atol=1e-12)
    for mine, theirs in zip(found[0][1], found[1][1], strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-8, atol=1e-12)
    return found[0][0]


REDUCTIONS = pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
COMMON: dict[str, dict[str, Any]] = {
    "plain": {},
    "weighted": {"weight": W},
    "smoothed": {"label_smoothing": 0.2, "ignore_index": 1},
    "both": {"weight": W, "label_smoothing": 0.2},
}
COMMONS = pytest.mark.parametrize("common", COMMON)


def arguments(common: str) -> tuple[torch.Tensor, dict[str, Any]]:
    """Labels that are in range or ignored, and torch's own options."""
    given = COMMON[common]
    return (LABELS if "ignore_index" not in given else LABELS.clamp(min=0)), given


@EVERY_BACKEND
@REDUCTIONS
@COMMONS
def test_sample_weight(common: str, reduction: str, backend: str | None) -> None:
    """Value and gradients, the denominator's part included."""
    labels, given = arguments(common)
    compare(
        backend,
        lambda a, s: crossent.cross_entropy(
            a, labels, **given, reduction=reduction, sample_weight=s, class_dim=-1, backend=backend
        ),
        lambda a, s: oracle(a, labels, **given, reduction=reduction, sample_weight=s),
        x(B, T, V),
        x(B, T, seed=1).abs(),
    )


@EVERY_BACKEND
@COMMONS
@pytest.mark.parametrize("denominator", [7, 2.5, torch.tensor(3.0), torch.tensor([4]), torch.tensor(0.5).double()])
def test_denominator(denominator: Any, common: str, backend: str | None) -> None:
    """Replaces the whole sum of weights, whatever its dtype; sample weights stay in the numerator."""
    labels, given = arguments(common)
    number = float(denominator)
    for s in (None, x(B, T, seed=1).abs()):
        compare(
            backend,
            lambda a, s=s: crossent.cross_entropy(
                a, labels, **given, denominator=denominator, sample_weight=s, class_dim=-1, backend=backend
            ),
            lambda a, s=s: oracle(a, labels, **given, denominator=number, sample_weight=s),
            x(B, T, V),
        )
    compare(
        backend,
        lambda a, s: crossent.cross_entropy(
            a, labels, **given, denominator=denominator, sample_weight=s, class_dim=-1, backend=backend
        ),
        lambda a, s: oracle(a, labels, **given, denominator=number, sample_weight=s),
        x(B, T, V),
        x(B, T, seed=1).abs(),
    )


@EVERY_BACKEND
@REDUCTIONS
@COMMONS
@pytest.mark.parametrize("softcap", [None, 2.0])
def test_logit_scale(softcap: float | None, common: str, reduction: str, backend: str | None) -> None:
    """A number, a 0-d tensor and one per row, with gradients; before the cap; also with z_loss."""
    labels, given = arguments(common)
    options = {**given, "reduction": reduction, "softcap": softcap, "z_loss": 0.05}
    for scale in (1.7, -0.5, 2):
        compare(
            backend,
            lambda a, k=scale: crossent.cross_entropy(
                a, labels, **options, logit_scale=k, class_dim=-1, backend=backend
            ),
            lambda a, k=scale: oracle(a, labels, **options, logit_scale=k),
            x(B, T, V),
        )
    for tensor in (torch.tensor(1.7).double(), x(B, T, seed=2)):
        compare(
            backend,
            lambda a, k: crossent.cross_entropy(a, labels, **options, logit_scale=k, class_dim=-1, backend=backend),
            lambda a, k: oracle(a, labels, **options, logit_scale=k),
            x(B, T, V),
            tensor,
        )


@EVERY_BACKEND
@REDUCTIONS
@pytest.mark.parametrize("common", ["plain", "weighted", "both"])
def test_z_loss_and_probabilities(common: str, reduction: str, backend: str | None) -> None:
    """z_loss is not class-weighted, yet a weighted mean divides it; probabilities have gradients too."""
    given = COMMON[common]
    options = {**given, "reduction": reduction, "z_loss": 0.1}
    compare(
        backend,
        lambda a: crossent.cross_entropy(a, LABELS, **options, class_dim=-1, backend=backend),
        lambda a: oracle(a, LABELS, **options),
        x(B, T, V),
    )
    compare(
        backend,
        lambda a, p, s: crossent.cross_entropy(
            a, p, **options, sample_weight=s, softcap=3.0, class_dim=-1, backend=backend
        ),
        lambda a, p, s: oracle(a, p, **options, sample_weight=s, softcap=3.0),
        x(B, T, V),
        x(B, T, V, seed=3).softmax(-1),
        x(B, T, seed=1).abs(),
    )


@EVERY_BACKEND
@pytest.mark.parametrize("shape", [(V,), (6, V), (B, T, V), (2, 3, 2, V)], ids=str)
def test_class_dim(shape: tuple[int, ...], backend: str | None) -> None:
    """Every position of the classes gives the loss of classes last."""
    labels = torch.randint(V, shape[:-1])
    for position in range(len(shape)):
        for dim in (position, position - len(shape)):
            compare(
                backend,
                lambda a, d=dim, p=position: crossent.cross_entropy(
                    a.movedim(-1, p), labels, W, class_dim=d, backend=backend
                ),
                lambda a: oracle(a, labels, W),
                x(*shape),
            )


@EVERY_BACKEND
@pytest.mark.parametrize("shift", [1, 2, T - 1, T, T + 3])
@pytest.mark.parametrize("common", ["plain", "both"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_shift(reduction: str, common: str, shift: int, backend: str | None) -> None:
    """Target t is predicted by the logits at t - shift: manual slicing, aligned with the target."""
    given = {**COMMON[common], "reduction": reduction, "z_loss": 0.1}
    unread = min(shift, T)

    def by_hand(a: torch.Tensor, s: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        cut = {"sample_weight": s[:, unread:], "logit_scale": k[:, unread:]}
        if unread == T:  # nothing is predicted
            rows = (a[:, :0].sum() + s.sum() * 0 + k.sum() * 0) * torch.ones(())
            return rows.expand(B, T) * 1 if reduction == "none" else rows / (0 if reduction == "mean" else 1)
        rows = oracle(a[:, : T - unread], LABELS[:, unread:], **given, **cut)
        return torch.nn.functional.pad(rows, (unread, 0)) if reduction == "none" else rows

    if unread == T and reduction == "mean":
        loss = crossent.cross_entropy(x(B, T, V), LABELS, **given, class_dim=-1, shift=shift, backend=backend)
        assert loss.isnan()
        return
    result = compare(
        backend,
        lambda a, s, k: crossent.cross_entropy(
            a, LABELS, **given, sample_weight=s, logit_scale=k, class_dim=-1, shift=shift, backend=backend
        ),
        by_hand,
        x(B, T, V),
        x(B, T, seed=1).abs(),
        x(B, T, seed=2),
    )
    assert reduction != "none" or (result[:, :unread] == 0).all()


@EVERY_BACKEND
def test_shift_with_classes_in_the_middle_and_probabilities(backend: str | None) -> None:
    compare(
        backend,
        lambda a: crossent.cross_entropy(a.transpose(1, 2), LABELS, class_dim=1, shift=2, backend=backend),
        lambda a: oracle(a[:, :-2], LABELS[:, 2:]),
        x(B, T, V),
    )
    compare(
        backend,
        lambda a, p: crossent.cross_entropy(a, p, class_dim=-1, shift=1, backend=backend),
        lambda a, p: oracle(a[:, :-1], p[:, 1:]),
        x(B, T, V),
        x(B, T, V, seed=3).softmax(-1),
    )
    images, labels = x(2, V, 3, 4), torch.randint(V, (2, 3, 4))  # (N, C, d1, d2): the sequence is the last dimension
    compare(
        backend,
        lambda a: crossent.cross_entropy(a, labels, class_dim=1, shift=1, backend=backend),
        lambda a: oracle(a.movedim(1, -1)[:, :, :-1], labels[:, :, 1:]),
        images,
    )
    compare(
        backend,
        lambda a: crossent.nll_loss(a, LABELS, class_dim=-1, shift=1, backend=backend),
        lambda a: -a[:, :-1].gather(-1, LABELS[:, 1:, None].clamp(min=0))[..., 0][LABELS[:, 1:] >= 0].mean(),
        x(B, T, V),
    )


@EVERY_BACKEND
@pytest.mark.parametrize("options", [{"class_dim": -1}, {"class_dim": -1, "shift": 1}], ids=str)
def test_the_logits_are_not_copied(options: dict[str, int], backend: str | None) -> None:
    """What a backend is given shares the caller's memory, and the caller's tensor is what is saved."""
    a = x(4, 8, 16, dtype=torch.float32).requires_grad_()
    loss = crossent.cross_entropy(a, torch.randint(16, (4, 8)), **options, backend=backend)
    assert loss.grad_fn.saved_tensors[0].data_ptr() == a.data_ptr()
    call = loss.grad_fn.crossent_call
    rows = call.layout.rows(a)
    assert rows.data_ptr() == a.data_ptr() and rows._base is not None


@EVERY_BACKEND
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("out_dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_out_dtype(out_dtype: torch.dtype, dtype: torch.dtype, backend: str | None) -> None:
    """The result's dtype alone changes; gradients keep the input's; one rounding at the end."""
    a = x(64, V, dtype=dtype).requires_grad_()
    labels = torch.arange(64) % V
    exact = oracle(a.detach(), labels)
    own = -a.detach().double()[range(64), labels].mean()
    for function, expected in ((crossent.cross_entropy, exact), (crossent.nll_loss, own)):
        loss = function(a, labels, out_dtype=out_dtype, backend=backend)
        (gradient,) = torch.autograd.grad(loss, a)
        assert (loss.dtype, gradient.dtype) == (out_dtype, dtype)
        rounding = max(torch.finfo(out_dtype).eps, 1e-12 if dtype == torch.float64 else 1e-6)
        assert abs(loss.double() - expected) <= rounding * abs(expected)
    rows = crossent.cross_entropy(a, labels, reduction="none", out_dtype=out_dtype, backend=backend)
    assert rows.dtype == out_dtype


@EVERY_BACKEND
@pytest.mark.parametrize("function", ["cross_entropy", "nll_loss", "cross_entropy_with_stats"])
def test_if_all_ignored(function: str, backend: str | None) -> None:
    """nan as torch's, or a 0 that is connected to the graph; zero weights are NaN in both."""
    ignored = torch.full((4,), -100)
    call = getattr(crossent, function)
    for how, labels, weight, expected in (
        ("nan", ignored, None, "nan"), ("zero", ignored, None, "zero"), ("zero", torch.arange(4), None, "loss"),
        ("zero", torch.arange(4), torch.zeros(V), "nan"), ("zero", ignored[:0], None, "zero"),
    ):  # fmt: skip
        a = x(len(labels), V, dtype=torch.float32).requires_grad_()
        answer = call(a, labels, weight, if_all_ignored=how, backend=backend)
        loss = answer[0] if function == "cross_entropy_with_stats" else answer
        assert loss.isnan() if expected == "nan" else (loss == 0) == (expected == "zero")
        (gradient,) = torch.autograd.grad(loss, a)
        if expected == "zero" or (weight is None and how == "nan"):
            assert (gradient == 0).all()
    for denominator in (0, torch.tensor(0.0)):  # a count of no tokens at all
        answer = call(x(4, V), ignored, if_all_ignored="zero", denominator=denominator, backend=backend)
        assert (answer[0] if function == "cross_entropy_with_stats" else answer) == 0
    s = torch.zeros(4)
    assert crossent.cross_entropy(
        x(4, V), torch.tensor([0, 1, 2, 3]), sample_weight=s, if_all_ignored="zero", backend=backend
    ).isnan()


@EVERY_BACKEND
def test_weight_zero_does_not_mask(backend: str | None) -> None:
    """0 * NaN stays NaN: only an ignored row is never read."""
    a = x(3, V)
    a[1] = torch.nan
    s = torch.tensor([1.0, 0.0, 1.0])
    labels = torch.tensor([0, 1, 2])
    assert crossent.cross_entropy(a, labels, sample_weight=s, backend=backend).isnan()
    labels[1] = -100
    s[1] = torch.nan
    loss = crossent.cross_entropy(a, labels, sample_weight=s, backend=backend)
    torch.testing.assert_close(loss, oracle(a[[0, 2]], labels[[0, 2]]))


@EVERY_BACKEND
def test_infinite_logits_under_a_cap(backend: str | None) -> None:
    """-inf becomes -softcap (mask after it); an infinite logit has no say in the gradient of the scale."""
    a = x(3, V)
    a[:, 1] = -torch.inf
    labels = torch.tensor([0, 1, 2])
    capped = torch.where(a.isinf(), -2.0, 2.0 * torch.tanh(1.5 * a / 2.0))
    scale = torch.tensor(1.5).double().requires_grad_()
    loss = crossent.cross_entropy(a, labels, logit_scale=scale, softcap=2.0, backend=backend)
    torch.testing.assert_close(loss, oracle(capped, labels))
    (gradient,) = torch.autograd.grad(loss, scale)
    assert gradient.isfinite()
    k = torch.tensor(1.5).double().requires_grad_()
    saturated = oracle(torch.where(a.isinf(), -1e3, a), labels, logit_scale=k, softcap=2.0)
    torch.testing.assert_close(gradient, torch.autograd.grad(saturated, k)[0])
