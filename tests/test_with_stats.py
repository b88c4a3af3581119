"""cross_entropy_with_stats: every field against its definition, with ties, ignored rows, -inf and probabilities."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import crossent
from serving import BACKENDS, expected_server, served_by

pytestmark = pytest.mark.usefixtures("no_small_calls")
EVERY_BACKEND = pytest.mark.parametrize("backend", BACKENDS)

LABELS = torch.tensor([0, 4, -100, 2, 1, 3])
DIFFERENTIABLE = ("nll", "logsumexp", "entropy", "z_loss")


def x(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> torch.Tensor:
    return 2 * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def fields(z: torch.Tensor, target: torch.Tensor, z_loss: float) -> dict[str, torch.Tensor]:
    """The definitions, rows in the first dimension; ignored rows hold 0, False or -1."""
    is_index = not target.is_floating_point()
    read = target != -100 if is_index else torch.ones(len(z), dtype=torch.bool)
    z = torch.where(read[:, None], z, torch.zeros_like(z))
    lse = torch.logsumexp(z, 1)
    p = (z - lse[:, None]).exp()
    minus_p_log_p = torch.where(p == 0, 0.0, -p * torch.where(p == 0, 0.0, z - lse[:, None]))
    predicted = torch.tensor([row.tolist().index(max(row.tolist())) for row in z])
    if is_index:
        own = z[torch.arange(len(z)), target.clamp(min=0)]
        nll, wanted = lse - own, target
        rank = torch.tensor(
            [sum(other > mine for other in row) for row, mine in zip(z.tolist(), own.tolist(), strict=True)]
        )
    else:
        nll, wanted = -(target * (z - lse[:, None])).sum(1), target.argmax(1)
        rank = torch.full_like(predicted, -1)
    zero = torch.zeros_like(lse)
    return {
        "nll": torch.where(read, nll, zero), "logsumexp": torch.where(read, lse, zero),
        "entropy": torch.where(read, minus_p_log_p.sum(1), zero), "z_loss": torch.where(read, z_loss * lse**2, zero),
        "predicted": torch.where(read, predicted, -1), "correct": read & (predicted == wanted),
        "rank": torch.where(read, rank, -1),
    }  # fmt: skip


NEEDS: dict[str, set[str]] = {  # which fields have a gradient, by what needs one
    "logits": {"loss", *DIFFERENTIABLE},
    "logit_scale": {"loss", *DIFFERENTIABLE},
    "probabilities": {"loss", "nll"},
    "sample_weight": {"loss"},
}


@EVERY_BACKEND
@pytest.mark.parametrize("needing", NEEDS)
def test_gradients_where_there_are_some(needing: str, backend: str | None) -> None:
    """A field that depends on nothing that needs a gradient needs none; and all do at once, under create_graph too."""
    tensors = {"logits": x(6, 5), "logit_scale": x(6, seed=1), "sample_weight": x(6, seed=2).abs()}
    tensors["probabilities"] = x(6, 5, seed=3).softmax(1)
    leaf = tensors[needing].requires_grad_()
    target = tensors["probabilities"] if needing == "probabilities" else LABELS
    given = {name: tensors[name] for name in ("logit_scale", "sample_weight")}
    stats = crossent.cross_entropy_with_stats(tensors["logits"], target, **given, backend=backend)
    assert {name for name, field in stats._asdict().items() if field.requires_grad} == NEEDS[needing]
    total = sum(field.sum() for name, field in stats._asdict().items() if name in ("loss", *DIFFERENTIABLE))
    (once,) = torch.autograd.grad(total, leaf, retain_graph=True)
    (again,) = torch.autograd.grad(total, leaf, create_graph=True)
    torch.testing.assert_close(once, again)


def check(stats: Any, expected: dict[str, torch.Tensor]) -> None:
    for name, value in expected.items():
        torch.testing.assert_close(getattr(stats, name), value, rtol=1e-9, atol=1e-12, equal_nan=True)


OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "weighted, smoothed": {"weight": torch.tensor([0.5, 1.0, 2.0, 0.25, 1.5]).double(), "label_smoothing": 0.2},
    "mapped": {"logit_scale": 1.5, "softcap": 2.5, "z_loss": 0.1},
    "none": {"reduction": "none", "z_loss": 0.1, "sample_weight": x(6, seed=1).abs()},
    "sum": {"reduction": "sum", "label_smoothing": 0.1},
}


@EVERY_BACKEND
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("kind", ["labels", "probabilities"])
def test_fields_and_gradients(kind: str, options: str, backend: str | None) -> None:
    """The loss is cross_entropy's; fields are unweighted and unsmoothed; each has a gradient of its own."""
    given = OPTIONS[options]
    target = LABELS if kind == "labels" else x(6, 5, seed=3).softmax(1)
    a, b = x(6, 5).requires_grad_(), x(6, 5).requires_grad_()
    stats = served_by(
        expected_server(backend), lambda: crossent.cross_entropy_with_stats(a, target, **given, backend=backend)
    )
    assert isinstance(stats, crossent.CrossEntropyStats) and isinstance(stats, tuple)
    loss = crossent.cross_entropy(b, target, **given, backend=backend)
    torch.testing.assert_close(stats.loss, loss, rtol=1e-13, atol=1e-14)
    z = b * given.get("logit_scale", 1.0)
    z = z if "softcap" not in given else given["softcap"] * torch.tanh(z / given["softcap"])
    expected = fields(z, target, given.get("z_loss", 0.0))
    check(stats, expected)
    upstream = {name: x(6, seed=index) for index, name in enumerate(DIFFERENTIABLE)}
    for chosen in ((), *((name,) for name in DIFFERENTIABLE), DIFFERENTIABLE):
        terms = [(getattr(stats, name), expected[name], upstream[name]) for name in chosen]
        mine = sum(((own * g).sum() for own, _, g in terms), stats.loss.sum())
        theirs = sum(((other * g).sum() for _, other, g in terms), loss.sum())
        gradients = [torch.autograd.grad(t, leaf, retain_graph=True)[0] for t, leaf in ((mine, a), (theirs, b))]
        torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-12)


@EVERY_BACKEND
def test_every_differentiable_input_gets_the_fields_gradients(backend: str | None) -> None:
    """logit_scale and probability targets, through the fields alone."""

    def run(logits: torch.Tensor, target: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        stats = crossent.cross_entropy_with_stats(logits, target, logit_scale=scale, z_loss=0.1, backend=backend)
        return stats.nll + stats.entropy + stats.logsumexp + stats.z_loss

    inputs = x(4, 5), x(4, 5, seed=3).softmax(1), x(4, seed=5)
    torch.autograd.gradcheck(run, [value.requires_grad_() for value in inputs])


@EVERY_BACKEND
def test_ties_and_infinities(backend: str | None) -> None:
    inf = torch.inf
    a = torch.tensor([
        [1.0, 3.0, 3.0, 0.0], [2.0, 2.0, 2.0, 2.0], [-inf, 0.0, -inf, 1.0], [-inf, -inf, 5.0, -inf],
        [1.0, 2.0, -inf, 0.0],
    ])  # fmt: skip
    labels = torch.tensor([2, 3, 1, 2, 2])
    stats = crossent.cross_entropy_with_stats(a.double(), labels, reduction="none", backend=backend)
    assert stats.predicted.tolist() == [1, 0, 3, 2, 1]  # the lowest index of the maximum
    assert stats.correct.tolist() == [False, False, False, True, False]
    assert stats.rank.tolist() == [0, 0, 1, 0, 3]  # strictly greater ones only
    check(stats, fields(a.double(), labels, 0.0))
    assert stats.nll[4] == inf and stats.entropy.isfinite().all() and stats.entropy[3] == 0


@EVERY_BACKEND
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_shapes_and_dtypes(dtype: torch.dtype, backend: str | None) -> None:
    """The index target's shape, float32 at least; integers int64; the loss in the input's dtype."""
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    for shape, dim in (((5,), 0), ((6, 5), 1), ((2, 5, 3), 1), ((2, 3, 5), -1), ((2, 5, 3, 2), 1), ((0, 5), 1)):
        index_shape = tuple(size for position, size in enumerate(shape) if position != dim % len(shape))
        labels = torch.randint(5, index_shape)
        stats = crossent.cross_entropy_with_stats(x(*shape, dtype=dtype), labels, class_dim=dim, backend=backend)
        assert stats.loss.dtype == dtype and stats.loss.shape == ()
        for name in stats._fields[1:]:
            assert getattr(stats, name).shape == index_shape, name
        assert {getattr(stats, name).dtype for name in DIFFERENTIABLE} == {wide}
        assert (stats.predicted.dtype, stats.correct.dtype, stats.rank.dtype) == (torch.int64, torch.bool, torch.int64)
        assert not (stats.predicted.requires_grad or stats.rank.requires_grad or stats.correct.requires_grad)


@EVERY_BACKEND
def test_shift_and_ignored(backend: str | None) -> None:
    """Entries that nothing predicts are as ignored ones: 0, False, -1; NaN in what is not read stays there."""
    a, labels = x(2, 6, 5), torch.stack([LABELS, LABELS.flip(0)])
    a[:, -1] = torch.nan  # predicts nothing with shift=1
    a[0, 1] = torch.nan  # would predict labels[0, 2], which is ignored
    stats = crossent.cross_entropy_with_stats(a, labels, class_dim=-1, shift=1, z_loss=0.1, backend=backend)
    rows = [fields(a[i, :-1], labels[i, 1:], 0.1) for i in range(2)]
    expected = {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
    for name, value in expected.items():
        torch.testing.assert_close(getattr(stats, name)[:, 1:], value)
        fill = -1 if name in ("predicted", "rank") else 0
        assert (getattr(stats, name)[:, 0] == fill).all()
    assert stats.loss.isfinite()


@EVERY_BACKEND
@pytest.mark.parametrize("classes", [3, 70, 700])
def test_rows_of_minus_infinity(backend: str | None, classes: int) -> None:
    """The logarithm of a sum of nothing is -inf, as torch.logsumexp has it; a softmax of nothing is nothing."""
    logits = torch.randn(4, classes)
    logits[1], logits[2, 1:] = -torch.inf, -torch.inf
    stats = crossent.cross_entropy_with_stats(
        logits, torch.zeros(4, dtype=torch.int64), reduction="none", z_loss=0.5, backend=backend
    )
    exact = logits.logsumexp(1)
    assert stats.logsumexp[1] == exact[1] == -torch.inf and stats.z_loss[1] == torch.inf
    torch.testing.assert_close(stats.logsumexp, exact)
    assert stats.loss[1].isnan() and stats.nll[1].isnan() and stats.entropy[1].isnan()
    batched = torch.func.vmap(
        lambda x: crossent.cross_entropy_with_stats(x, torch.zeros(4, dtype=torch.int64)).logsumexp
    )
    torch.testing.assert_close(batched(logits[None])[0], exact)
