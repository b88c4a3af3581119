"""A linear loss inside transforms, compilers, autocast and checkpoints, against the loss of its logits."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint

import crossent
from crossent import LinearPlan, handover, internals
from linear_cases import ENGINES
from serving import serving

F64 = torch.float64
CHUNKED = LinearPlan(rows=2)


def tensors(*, grad: bool = False) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    input = torch.randn(5, 4, dtype=F64, requires_grad=grad)
    head = torch.randn(6, 4, dtype=F64, requires_grad=grad)
    return input, head, torch.tensor([0, 5, -100, 2, 1])


def ours(input: torch.Tensor, head: torch.Tensor, target: torch.Tensor, **how: Any) -> torch.Tensor:
    return crossent.linear_cross_entropy(input, head, target, label_smoothing=0.1, options=CHUNKED, **how)


def plain(input: torch.Tensor, head: torch.Tensor, target: torch.Tensor, **how: Any) -> torch.Tensor:
    return F.cross_entropy(F.linear(input, head), target, label_smoothing=0.1, **how)


@pytest.mark.parametrize("backend", ENGINES)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_double_backward(backend: str, reduction: str) -> None:
    input, head, target = tensors(grad=True)

    def loss(input: torch.Tensor, head: torch.Tensor) -> torch.Tensor:
        return ours(input, head, target, reduction=reduction, backend=backend)

    assert torch.autograd.gradcheck(loss, (input, head))
    assert torch.autograd.gradgradcheck(loss, (input, head))


def test_double_backward_of_sequences_and_options() -> None:
    hidden = torch.randn(2, 5, 3, dtype=F64, requires_grad=True)
    head, bias = torch.randn(4, 3, dtype=F64, requires_grad=True), torch.randn(4, dtype=F64, requires_grad=True)
    scale = torch.rand(2, 5, dtype=F64, requires_grad=True)
    weight = torch.rand(2, 5, dtype=F64, requires_grad=True)
    target = torch.randint(0, 4, (2, 5))

    def loss(*given: torch.Tensor) -> torch.Tensor:
        hidden, head, bias, scale, weight = given
        return crossent.linear_cross_entropy(
            hidden, head, target, linear_bias=bias, logit_scale=scale, sample_weight=weight, softcap=3.0, z_loss=0.01,
            shift=1, options=CHUNKED,
        )  # fmt: skip

    assert torch.autograd.gradgradcheck(loss, (hidden, head, bias, scale, weight))


def test_class_weight_with_a_gradient() -> None:
    input, head, _ = tensors(grad=True)
    target = torch.randn(5, 6, dtype=F64).softmax(1)
    weight = torch.rand(6, dtype=F64, requires_grad=True)
    mine = torch.autograd.grad(
        crossent.linear_cross_entropy(input, head, target, weight=weight, options=CHUNKED), (input, head, weight)
    )
    other = torch.autograd.grad(F.cross_entropy(F.linear(input, head), target, weight), (input, head, weight))
    for a, b in zip(mine, other, strict=True):
        torch.testing.assert_close(a, b)


def test_transforms() -> None:
    input, head, target = tensors()
    tangents = (torch.randn_like(input), torch.randn_like(head))

    def jvp(loss: Any) -> Any:
        return torch.func.jvp(lambda x, w: loss(x, w, target), (input, head), tangents)

    def per_sample(loss: Any) -> Any:
        one = torch.func.grad(lambda x, w, y: loss(x[None], w, y[None], reduction="sum"), (0, 1))
        return torch.func.vmap(one, (0, None, 0))(input, head, target)

    def hessian(loss: Any) -> Any:
        return torch.func.hessian(lambda x: loss(x, head, target))(input)

    for transform in (jvp, per_sample, hessian):
        with serving() as calls:
            mine = transform(ours)
        assert calls and all(call.by == "composite" for call in calls)
        torch.testing.assert_close(mine, transform(plain))


def test_a_named_backend_refuses_transforms() -> None:
    input, head, target = tensors()
    with pytest.raises(RuntimeError, match="XEN041"):
        torch.func.grad(lambda x: ours(x, head, target, backend="reference"))(input)


@pytest.mark.parametrize("engine", ["eager", "aot_eager"])
def test_compile_fullgraph(engine: str) -> None:
    torch.compiler.reset()
    compiled = torch.compile(lambda *args: ours(*args), backend=engine, fullgraph=True)
    for rows in (5, 7):
        input, head, _ = tensors(grad=True)
        input = torch.randn(rows, 4, dtype=F64, requires_grad=True)
        target = torch.randint(0, 6, (rows,))
        mine, other = compiled(input, head, target), plain(input, head, target)
        torch.testing.assert_close(mine, other)
        for a, b in zip(
            torch.autograd.grad(mine, (input, head)), torch.autograd.grad(other, (input, head)), strict=True
        ):
            torch.testing.assert_close(a, b)


@pytest.mark.parametrize("backend", ENGINES)
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_autocast(backend: str, reduction: str) -> None:
    input, head, target = (tensor.float() if tensor.is_floating_point() else tensor for tensor in tensors())
    input.requires_grad_(), head.requires_grad_()
    results = []
    for loss in (ours, plain):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            how = {"backend": backend} if loss is ours else {}
            result = loss(input, head, target, reduction=reduction, **how)
        assert result.dtype == torch.float32
        results.append((result, *torch.autograd.grad(result.sum(), (input, head))))
    for mine, other in zip(*results, strict=True):
        assert mine.dtype == other.dtype == torch.float32
        torch.testing.assert_close(mine, other, rtol=0.02, atol=0.02)


def test_autocast_double_backward() -> None:
    input, head, target = (tensor.float() if tensor.is_floating_point() else tensor for tensor in tensors())
    input.requires_grad_(), head.requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = ours(input, head, target)
    (first,) = torch.autograd.grad(result, input, create_graph=True)
    assert first.dtype == torch.float32
    (second,) = torch.autograd.grad(first.square().sum(), head)
    wide = [tensor.detach().double().requires_grad_() for tensor in (input, head)]
    (exact,) = torch.autograd.grad(plain(*wide, target), wide[0], create_graph=True)
    (wanted,) = torch.autograd.grad(exact.square().sum(), wide[1])
    torch.testing.assert_close(second.double(), wanted, rtol=0.05, atol=0.02)


@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_checkpoint(reentrant: bool, reduction: str) -> None:
    input, head, target = tensors(grad=True)
    kept = checkpoint(lambda x, w: ours(x, w, target, reduction=reduction).sum(), input, head, use_reentrant=reentrant)
    kept.backward()
    wanted = torch.autograd.grad(plain(input, head, target, reduction=reduction).sum(), (input, head))
    for mine, other in zip((input.grad, head.grad), wanted, strict=True):
        torch.testing.assert_close(mine, other)


def test_saved_tensor_hooks() -> None:
    input, head, target = tensors(grad=True)
    seen: list[torch.Size] = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        seen.append(tensor.shape)
        return tensor.clone()

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = ours(input, head, target)
    loss.backward()
    assert input.shape in seen and head.shape in seen
    torch.testing.assert_close(head.grad, torch.autograd.grad(plain(input, head, target), head)[0])


@pytest.mark.parametrize("backend", ENGINES)
def test_changing_an_input_after_the_forward_is_noticed(backend: str) -> None:
    input, head, target = tensors(grad=True)
    loss = ours(input, head, target, backend=backend)
    with torch.no_grad():
        head.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@pytest.mark.parametrize("backend", ENGINES)
def test_retained_graphs_and_changed_gradients(backend: str) -> None:
    """What the first backward handed out is the caller's: changing it changes no later backward."""
    input, head, target = tensors(grad=True)
    loss = ours(input, head, target, backend=backend) * 3.0
    first = torch.autograd.grad(loss, (input, head), retain_graph=True)
    kept = [gradient.clone() for gradient in first]
    for gradient in first:
        gradient.fill_(7.0)
    for again, before in zip(torch.autograd.grad(loss, (input, head)), kept, strict=True):
        torch.testing.assert_close(again, before)


@pytest.mark.parametrize("backend", ENGINES)
@pytest.mark.parametrize("ignored", [False, True])
def test_results_modified_in_place(ignored: bool, backend: str) -> None:
    """``loss *= 2``, ``loss[mask] = 0``: losses per row are the caller's own, as torch's are."""
    input, head, target = tensors(grad=True)
    target = target if ignored else target.clamp(min=0)
    results = []
    for loss in (ours, plain):
        rows = loss(input, head, target, reduction="none", **({"backend": backend} if loss is ours else {}))
        rows *= 2
        rows[target == 5] = 0.0
        results.append((rows, *torch.autograd.grad(rows.sum(), (input, head))))
    torch.testing.assert_close(*results)
    stats = crossent.linear_cross_entropy_with_stats(input, head, target, backend=backend)
    stats.nll.mul_(2.0)
    stats.nll.sum().backward()
    assert input.grad is not None


@pytest.mark.parametrize("backend", ENGINES)
@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize("plan", [CHUNKED, LinearPlan(classes=2), None], ids=str)
def test_batched_gradients(plan: LinearPlan | None, reduction: str, backend: str) -> None:
    """``is_grads_batched``: the backward runs under vmap after a forward that a kernel made."""
    input, head, target = tensors(grad=True)
    mine = crossent.linear_cross_entropy(input, head, target, reduction=reduction, options=plan, backend=backend)
    other = F.cross_entropy(F.linear(input, head), target, reduction=reduction)
    upstream = torch.randn(3, *other.shape, dtype=F64)
    results = (torch.autograd.grad(loss, (input, head), upstream, is_grads_batched=True) for loss in (mine, other))
    torch.testing.assert_close(*results)


@pytest.mark.parametrize("backend", ENGINES)
def test_read_outs_require_what_they_depend_on(backend: str) -> None:
    input, head, target = tensors()
    probabilities = torch.randn(5, 6, dtype=F64).softmax(1).requires_grad_()
    read = crossent.linear_cross_entropy_with_stats(input, head, probabilities, backend=backend)
    assert [field.requires_grad for field in read[:5]] == [True, True, False, False, False]
    weight = torch.rand(5, dtype=F64, requires_grad=True)
    read = crossent.linear_cross_entropy_with_stats(input, head, target, sample_weight=weight, backend=backend)
    assert [field.requires_grad for field in read[:5]] == [True, False, False, False, False]


@pytest.mark.parametrize("backend", ENGINES)
def test_a_head_tied_to_an_embedding(backend: str) -> None:
    embedding = torch.nn.Embedding(6, 4, dtype=F64)
    tokens = torch.tensor([[0, 5, 2, 3], [1, 1, 4, 0]])

    def gradient(loss: Any) -> torch.Tensor:
        embedding.weight.grad = None
        for _ in range(2):  # accumulated
            (loss(embedding(tokens)) / 2).backward()
        assert embedding.weight.grad is not None
        return embedding.weight.grad.clone()

    mine = gradient(
        lambda hidden: crossent.linear_cross_entropy(
            hidden, embedding.weight, tokens, shift=1, backend=backend, options=CHUNKED
        )
    )
    other = gradient(
        lambda hidden: F.cross_entropy(
            F.linear(hidden[:, :-1], embedding.weight).flatten(0, 1), tokens[:, 1:].flatten()
        )
    )
    torch.testing.assert_close(mine, other)


def test_no_gradient_where_nothing_asks() -> None:
    input, head, target = tensors(grad=True)
    with torch.no_grad():
        assert not ours(input, head, target).requires_grad
    with torch.inference_mode():
        torch.testing.assert_close(ours(input, head, target), plain(input, head, target))


def test_fake_and_meta_tensors() -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        loss = crossent.linear_cross_entropy(
            torch.randn(5, 4, requires_grad=True), torch.randn(6, 4), torch.zeros(5, dtype=torch.long)
        )
        assert loss.shape == ()
    meta = crossent.linear_cross_entropy(
        torch.randn(5, 4, device="meta"), torch.randn(6, 4, device="meta"),
        torch.zeros(5, dtype=torch.long, device="meta"), reduction="none",
    )  # fmt: skip
    assert meta.shape == (5,) and meta.device.type == "meta"


def test_non_contiguous_tensors() -> None:
    input, head, target = (
        torch.randn(4, 5, dtype=F64).T,
        torch.randn(4, 12, dtype=F64).T[::2],
        torch.zeros(10).long()[::2],
    )
    input.requires_grad_(), head.requires_grad_()
    mine, other = ours(input, head, target), plain(input, head, target)
    torch.testing.assert_close(mine, other)
    for a, b in zip(torch.autograd.grad(mine, (input, head)), torch.autograd.grad(other, (input, head)), strict=True):
        torch.testing.assert_close(a, b)


class SeesFunctions(torch.overrides.TorchFunctionMode):
    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return function(*args, **(kwargs or {}))


def test_a_function_mode_sees_torchs_function_where_that_means_the_same() -> None:
    input, head, target = tensors()
    for how, by in (({}, "torch"), ({"softcap": 3.0}, "a backend")):
        with serving() as calls, SeesFunctions():
            crossent.linear_cross_entropy(input, head, target, **how)
        served = next(call for call in calls if call.function == "linear_cross_entropy")
        assert (served.by == "torch") == (by == "torch")
        assert served.shape == (5, 6)  # of the logits


def test_make_fx_takes_crossents_options() -> None:
    from torch.fx.experimental.proxy_tensor import make_fx

    input, head, target = tensors()
    traced = make_fx(lambda x, w: crossent.linear_cross_entropy(x, w, target, softcap=3.0, z_loss=0.1))(input, head)
    torch.testing.assert_close(
        traced(input, head), crossent.linear_cross_entropy(input, head, target, softcap=3.0, z_loss=0.1)
    )


class CountsProducts(TorchDispatchMode):
    """Multiplications of the matrix products that run inside."""

    def __init__(self) -> None:
        super().__init__()
        self.multiplications = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket in (torch.ops.aten.mm, torch.ops.aten.addmm, torch.ops.aten.addmm_):
            a, b = args[-2:]
            self.multiplications += a.shape[0] * a.shape[1] * b.shape[1]
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("dtype", [F64, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    ("trained", "how", "products"),
    [
        (("input", "head"), {}, 3),
        (("input",), {}, 2),  # a frozen head
        (("head",), {}, 2),  # a frozen trunk
        ((), {}, 1),
        (("input", "head"), {"reduction": "none"}, 4),
        (("input", "head"), {"reduction": "none", "options": LinearPlan(gradients="keep")}, 4),
        (("input", "head"), {"sample_weight": torch.rand(40), "denominator": 7.0}, 3),
        (("input", "head"), {"options": LinearPlan(rows=8, gradients="recompute")}, 4),
        (("input", "head"), {"options": LinearPlan(classes=8)}, 4),
    ],
    ids=str,
)
def test_no_product_too_many(
    trained: tuple[str, ...], how: dict[str, Any], products: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A dispatch mode is a context in which the composite answers; here it only counts what the engine does.
    monkeypatch.setattr(handover, "composite_context", lambda tensors: None)
    monkeypatch.setattr(internals, "backward_context", lambda upstream: None)
    N, H, V, read = 40, 4, 32, 30
    input = torch.randn(N, H).to(dtype).requires_grad_("input" in trained)
    head = torch.randn(V, H).to(dtype).requires_grad_("head" in trained)
    target = torch.randint(0, V, (N,))
    target[read:] = -100  # cost nothing
    with CountsProducts() as count:
        loss = crossent.linear_cross_entropy(input, head, target, backend="reference", **how)
        if trained:
            loss.sum().backward()
    assert count.multiplications == products * read * H * V
