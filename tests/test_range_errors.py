"""Labels out of range: torch's IndexError and its words from every backend, in every context, with advice that counts
only what is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch.func import grad, jacrev, jvp, vmap

import crossent
from serving import BACKENDS, first_line, outcome

pytestmark = pytest.mark.usefixtures("no_small_calls")
EVERY_BACKEND = pytest.mark.parametrize("backend", BACKENDS)

OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "weight": {"weight": torch.ones(4)},
    "smoothing": {"label_smoothing": 0.1, "weight": torch.ones(4)},
    "sum": {"reduction": "sum", "weight": torch.ones(4)},
    "sample_weight": {"sample_weight": torch.ones(3), "weight": torch.ones(4)},
    "zero": {"if_all_ignored": "zero", "denominator": 3.0, "weight": torch.ones(4)},
}


@EVERY_BACKEND
@pytest.mark.parametrize("function", ["cross_entropy", "nll_loss"])
@pytest.mark.parametrize("bad", [9, -1, -7])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_torchs_error_with_every_option(options: dict[str, Any], bad: int, function: str, backend: str | None) -> None:
    """Whatever is computed before the rows are read, such as the sum of class weights, raises nothing else."""
    options = {
        name: value for name, value in options.items() if function == "cross_entropy" or name != "label_smoothing"
    }
    logits, target = torch.randn(3, 4), torch.tensor([0, bad, -100])
    theirs = outcome(lambda: getattr(F, function)(logits, target))
    ours = outcome(lambda: getattr(crossent, function)(logits, target, **options, backend=backend))
    assert type(ours) is type(theirs) is IndexError
    assert first_line(ours) == first_line(theirs) == f"Target {bad} is out of bounds."
    assert ours.crossent_code == "XEN009"  # type: ignore[attr-defined]


@EVERY_BACKEND
def test_what_shift_leaves_out_is_not_counted(backend: str | None) -> None:
    logits = torch.randn(2, 4, 5)
    target = torch.tensor([[9, 1, 2, 7], [99, 1, 2, -100]])
    refused = outcome(lambda: crossent.cross_entropy(logits, target, class_dim=-1, shift=1, backend=backend))
    assert first_line(refused) == "Target 7 is out of bounds."
    assert "1 of 6 targets are outside the classes: they lie in [1, 7]" in str(refused)
    assert "target (2, 4) int64" in str(refused) and "a head of at least 8 classes" in str(refused)
    fine = target.clamp(max=4)
    fine[:, 0] = 99
    assert crossent.cross_entropy(logits, fine, class_dim=-1, shift=1, backend=backend).isfinite()


X = torch.randn(2, 3, 4)
BAD = torch.tensor([[0, 9, 1], [0, 1, -100]])
CONTEXTS: dict[str, Callable[[Callable[..., Any]], Any]] = {
    "grad": lambda loss: grad(lambda x: loss(x, BAD[0]))(X[0]),
    "jacrev": lambda loss: jacrev(lambda x: loss(x, BAD[0]))(X[0]),
    "jvp": lambda loss: jvp(lambda x: loss(x, BAD[0]), (X[0],), (X[0],)),
    "vmap": lambda loss: vmap(loss)(X, BAD),
    "vmap of grad": lambda loss: vmap(grad(loss))(X, BAD),
    "vmap, targets last": lambda loss: vmap(loss, in_dims=(0, 1))(X, BAD.T),
}


@pytest.mark.parametrize("context", CONTEXTS)
def test_transforms_of_functorch_say_which_labels(context: str) -> None:
    theirs = outcome(lambda: CONTEXTS[context](F.cross_entropy))
    ours = outcome(lambda: CONTEXTS[context](crossent.cross_entropy))
    assert type(ours) is type(theirs) and first_line(ours) == first_line(theirs)
    assert ours.crossent_code == "XEN009"
    count = 6 if "vmap" in context else 3
    assert f"1 of {count} targets are outside the classes: they lie in [0, 9]" in str(ours)


def test_transforms_count_without_what_shift_leaves_out() -> None:
    target = torch.tensor([[9, 1, 2, 7], [99, 1, 2, -100]])

    def loss(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return crossent.cross_entropy(x, y, class_dim=-1, shift=1)

    for transposed in (False, True):
        given, dims = (target.T, (0, 1)) if transposed else (target, (0, 0))
        refused = outcome(lambda: vmap(loss, in_dims=dims)(torch.randn(2, 4, 5), given))  # noqa: B023
        assert refused.crossent_code == "XEN009"
        assert "1 of 6 targets are outside the classes: they lie in [1, 7]" in str(refused)
    assert vmap(loss)(torch.randn(2, 4, 5), target.clamp(max=4).index_fill(1, torch.tensor([0]), 99)).isfinite().all()
