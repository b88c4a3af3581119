"""``inplace=True`` through the public function: the same gradient, in the logits' memory, and nobody is misled."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

pytest.importorskip("numba")

import crossent

F32, F64, BF16, F16 = torch.float32, torch.float64, torch.bfloat16, torch.float16
N, V = 37, 1100
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "sum": {"reduction": "sum"},
    "weights, smoothing, ignored": {"weight": torch.rand(V) + 0.5, "label_smoothing": 0.1},
    "softcap, scale": {"softcap": 5.0, "logit_scale": 0.7},
    "z_loss": {"z_loss": 1e-2},
    "sample_weight, denominator": {"sample_weight": torch.rand(N), "denominator": 11.0},
}
LAYOUTS = {
    "rows": lambda: torch.randn(N, V),
    "rows apart": lambda: torch.randn(N, V + 5)[:, 2 : V + 2],
    "turned": lambda: torch.randn(V, N).T,
}


def target(skip: bool = False) -> Tensor:
    labels = torch.arange(N) * 29 % V
    if skip:
        labels[::4] = -100
    return labels


class Produced(torch.autograd.Function):
    """Logits as a model hands them on: not a leaf, in the memory and strides they have. Keeps the gradient itself."""

    @staticmethod
    def forward(ctx: Any, root: Tensor, memory: Tensor, seen: list[Tensor]) -> Tensor:  # type: ignore[override]
        ctx.seen = seen
        return memory.detach()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        ctx.seen[:] = gradients
        return None, None, None


def gradients(values: Tensor, upstream: float, labels: Tensor, **options: Any) -> tuple[Tensor, Tensor, Tensor]:
    """(loss, gradient, the logits' memory afterwards) of logits with these values and strides."""
    memory = torch.empty_strided(values.shape, values.stride(), dtype=values.dtype).copy_(values)
    seen: list[Tensor] = []
    logits: Any = Produced.apply(torch.zeros((), requires_grad=True), memory, seen)  # type: ignore[no-untyped-call]
    loss = crossent.cross_entropy(logits, labels, backend="cpu", **options)  # by name: no call is too small
    (loss * upstream).backward()
    return loss.detach(), seen[0], memory


@pytest.mark.parametrize("upstream", [1.0, 0.5])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [F32, F64, BF16], ids=str)
@pytest.mark.parametrize("option", OPTIONS)
def test_same_bits_in_the_logits_memory(option: str, dtype: torch.dtype, layout: str, upstream: float) -> None:
    given = {name: v.to(dtype) if name == "weight" else v for name, v in OPTIONS[option].items()}
    values, labels = LAYOUTS[layout]().to(dtype), target(skip=option.startswith("weights"))
    loss, expected, kept = gradients(values, upstream, labels, **given)
    assert torch.equal(kept, values)
    ours, gradient, memory = gradients(values, upstream, labels, inplace=True, **given)
    assert torch.equal(ours, loss) and torch.equal(gradient, expected)
    assert memory.data_ptr() == gradient.data_ptr() and torch.equal(memory, expected)


@pytest.mark.parametrize("shape", [(3, 9, 40), (2, 21, 8, 8), (300, 10)])
def test_layouts_of_places(shape: tuple[int, ...]) -> None:
    values, labels = torch.randn(shape), torch.randint(shape[1], (shape[0], *shape[2:]))
    labels.view(-1)[::5] = -100
    expected = gradients(values, 1.0, labels)[1]
    _, gradient, memory = gradients(values, 1.0, labels, inplace=True)
    assert torch.equal(gradient, expected) and torch.equal(memory, expected)


@pytest.mark.parametrize(("dtype", "options"), [(F16, {}), (F32, {"reduction": "none"})], ids=["float16", "none"])
def test_changes_nothing_where_it_is_not_taken(dtype: torch.dtype, options: dict[str, Any]) -> None:
    values = torch.randn(N, V).to(dtype).requires_grad_() * 1
    before = values.detach().clone()
    crossent.cross_entropy(values, target(), inplace=True, backend="cpu", **options).sum().backward()
    assert torch.equal(values, before)


def test_another_node_that_saved_the_logits_raises() -> None:
    logits = torch.randn(N, V, requires_grad=True) * 1
    beside = logits.exp().sum() + (logits * logits).sum()  # the product saves the logits themselves
    loss = crossent.cross_entropy(logits, target(), inplace=True, backend="cpu")
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        (loss + beside).backward()


@pytest.mark.parametrize("create_graph", [False, True])
def test_no_second_backward_and_no_graph(create_graph: bool) -> None:
    logits = torch.randn(N, V, requires_grad=True) * 1
    loss = crossent.cross_entropy(logits, target(), inplace=True)
    if not create_graph:
        torch.autograd.grad(loss, logits, retain_graph=True)
    with pytest.raises(RuntimeError, match="XEN044"):
        torch.autograd.grad(loss, logits, retain_graph=True, create_graph=create_graph)


@pytest.mark.parametrize("bad", [-1, V, 2**40])
def test_targets_are_checked_before_anything_is_written(bad: int) -> None:
    logits = torch.randn(N, V, requires_grad=True) * 1
    before, labels = logits.detach().clone(), target()
    labels[-1] = bad
    with pytest.raises(IndexError):
        crossent.cross_entropy(logits, labels, inplace=True, backend="cpu")
    assert torch.equal(logits, before)


def test_refused_over_a_leaf_and_over_shared_elements() -> None:
    leaf = torch.randn(N, V, requires_grad=True)
    shared = (torch.randn(V, requires_grad=True) * 1).expand(N, V)
    for logits in (leaf, leaf.view(N, V), shared):
        before = logits.detach().clone()
        with pytest.raises(RuntimeError, match="XEN043"):
            crossent.cross_entropy(logits, target(), inplace=True, backend="cpu")
        assert torch.equal(logits, before)
