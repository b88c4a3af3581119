"""What autograd does around a loss: several backwards, hooks, checkpoints, in-place changes, no_grad."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch.autograd.graph import save_on_cpu, saved_tensors_hooks
from torch.utils.checkpoint import checkpoint

import crossent
from serving import BACKENDS, expected_server, outcome, serving

pytestmark = pytest.mark.usefixtures("no_small_calls")

LABELS = torch.tensor([0, 3, -100, 1, 2])
ARGUMENTS: dict[str, tuple[Any, ...]] = {"cross_entropy": (LABELS,), "nll_loss": (LABELS,), "log_softmax": (1,)}
FUNCTIONS = pytest.mark.parametrize("function", ARGUMENTS)
EVERY_BACKEND = pytest.mark.parametrize("backend", BACKENDS)


def x(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def scalar(result: torch.Tensor) -> torch.Tensor:
    return result if result.dim() == 0 else (result * torch.arange(result.numel()).reshape(result.shape)).sum()


def pair(function: str, backend: str | None) -> tuple[Callable[..., torch.Tensor], Callable[..., torch.Tensor]]:
    """(ours, torch's) as functions of the input alone, to a number."""
    args = ARGUMENTS[function]

    def ours(input: torch.Tensor) -> torch.Tensor:
        with serving() as calls:
            result = getattr(crossent, function)(input, *args, backend=backend)
        assert [call.by for call in calls] == [expected_server(backend, input.dtype)]
        return scalar(result)

    return ours, lambda input: scalar(getattr(F, function)(input, *args))


@FUNCTIONS
@EVERY_BACKEND
def test_three_backwards(function: str, backend: str | None) -> None:
    """retain_graph: each backward gives the same gradient, whatever was done to the first; then torch's error."""
    ours, theirs = pair(function, backend)
    leaf, other = x(5, 4).requires_grad_(), x(5, 4).requires_grad_()
    loss, torchs = ours(leaf * 1), theirs(other * 1)
    (expected,) = torch.autograd.grad(torchs, other, retain_graph=True)
    for _ in range(3):
        (gradient,) = torch.autograd.grad(loss, leaf, retain_graph=True)
        torch.testing.assert_close(gradient, expected)
        gradient.fill_(7.0)  # the receiver may do with it what it likes
    (scaled,) = torch.autograd.grad(loss, leaf, torch.tensor(-3.0), retain_graph=True)
    torch.testing.assert_close(scaled, -3.0 * expected)
    loss.backward()
    torchs.backward()
    torch.testing.assert_close(leaf.grad, expected)
    refusals = [outcome(lambda graph=graph: graph.backward()) for graph in (loss, torchs)]
    assert type(refusals[0]) is type(refusals[1]) is RuntimeError
    assert "backward through the graph a second time" in str(refusals[0])


@FUNCTIONS
@EVERY_BACKEND
def test_gradients_accumulate_in_the_leaf(function: str, backend: str | None) -> None:
    ours, theirs = pair(function, backend)
    leaf, other = x(5, 4).requires_grad_(), x(5, 4).requires_grad_()
    for _ in range(3):
        ours(leaf).backward()
        theirs(other).backward()
    torch.testing.assert_close(leaf.grad, other.grad)


@EVERY_BACKEND
def test_one_input_twice_and_a_loss_used_twice(backend: str | None) -> None:
    leaf, other = x(5, 4).requires_grad_(), x(5, 4).requires_grad_()
    for home, input, more in ((crossent, leaf, {"backend": backend}), (F, other, {})):
        first = home.cross_entropy(input, LABELS, **more)
        second = home.cross_entropy(2 * input, LABELS, reduction="sum", **more)
        (first * first + second * first + first).backward()
    torch.testing.assert_close(leaf.grad, other.grad)


@FUNCTIONS
@EVERY_BACKEND
@pytest.mark.parametrize("what", ["logits", "target", "result"])
def test_modified_in_place_after_forward(what: str, function: str, backend: str | None) -> None:
    """Either autograd's version error, or the gradient as if nothing had been modified."""
    leaf = x(5, 4).requires_grad_()
    labels = LABELS.clone()
    arguments = (1,) if function == "log_softmax" else (labels,)
    logits = leaf * 1
    result = getattr(crossent, function)(logits, *arguments, backend=backend)
    loss = scalar(result)
    other = x(5, 4).requires_grad_()
    (expected,) = torch.autograd.grad(scalar(getattr(F, function)(other, *ARGUMENTS[function])), other)
    with torch.no_grad():
        changed = {"logits": logits, "target": labels, "result": result}[what]
        changed.zero_()
    answer = outcome(lambda: torch.autograd.grad(loss, leaf)[0])
    if isinstance(answer, RuntimeError):
        assert "has been modified by an inplace operation" in str(answer)
    else:
        torch.testing.assert_close(answer, expected)


@EVERY_BACKEND
def test_the_result_modified_in_place(backend: str | None) -> None:
    """`loss[mask] = 0`, `loss *= w`: a loss per row is no view of anything."""
    gradients = []
    for home, more in ((crossent, {"backend": backend}), (F, {})):
        leaf = x(5, 4).requires_grad_()
        for function in ("cross_entropy", "nll_loss"):
            loss = getattr(home, function)(leaf, LABELS, reduction="none", **more)
            loss[LABELS == 1] = 0
            loss *= torch.arange(5)
            loss.sum().backward()
        gradients.append(leaf.grad)
    torch.testing.assert_close(*gradients)
    stats = crossent.cross_entropy_with_stats(leaf, LABELS, z_loss=0.1, reduction="none", backend=backend)
    for field in stats:
        field.zero_()


@FUNCTIONS
@EVERY_BACKEND
@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpoint(reentrant: bool, function: str, backend: str | None) -> None:
    """The forward runs twice, the second time inside the backward."""
    ours, theirs = pair(function, backend)
    leaf, other = x(5, 4).requires_grad_(), x(5, 4).requires_grad_()
    checkpoint(lambda a: ours(a * 2), leaf, use_reentrant=reentrant).backward()
    theirs(other * 2).backward()
    torch.testing.assert_close(leaf.grad, other.grad)


@FUNCTIONS
@EVERY_BACKEND
def test_saved_tensor_hooks(function: str, backend: str | None) -> None:
    """Everything with a row per sample goes through the hooks; what they give back is used."""
    ours, theirs = pair(function, backend)
    packed: list[tuple[int, ...]] = []

    def pack(tensor: torch.Tensor) -> Any:
        packed.append(tuple(tensor.shape))
        return tensor.detach().clone()

    leaf, other = x(5, 4).requires_grad_(), x(5, 4).requires_grad_()
    with saved_tensors_hooks(pack, lambda kept: kept):
        loss = ours(leaf * 1)
    assert (5, 4) in packed and (function == "log_softmax" or (5,) in packed)
    loss.backward()
    theirs(other).backward()
    torch.testing.assert_close(leaf.grad, other.grad)
    leaf.grad = None
    with save_on_cpu():
        loss = ours(leaf * 1)
    loss.backward()
    torch.testing.assert_close(leaf.grad, other.grad)


@FUNCTIONS
@EVERY_BACKEND
def test_without_gradients(function: str, backend: str | None) -> None:
    ours, theirs = pair(function, backend)
    expected = theirs(x(5, 4))
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            result = ours(x(5, 4).requires_grad_())
        assert not result.requires_grad and result.is_inference() == (mode is torch.inference_mode)
        torch.testing.assert_close(result, expected)
    with torch.inference_mode():
        frozen = x(5, 4)
    assert not ours(frozen).requires_grad
    with torch.no_grad(), torch.enable_grad():
        assert ours(x(5, 4).requires_grad_()).requires_grad


@FUNCTIONS
@EVERY_BACKEND
def test_hooks_on_the_input_and_undefined_upstream(function: str, backend: str | None) -> None:
    ours, theirs = pair(function, backend)
    seen = []
    for run in (ours, theirs):
        leaf = x(5, 4).requires_grad_()
        leaf.register_hook(lambda gradient: seen.append(gradient.clone()))
        gone, kept = run(leaf * 1), (leaf * 2).sum()
        torch.stack([kept, gone.detach()]).sum().backward()
        (gone * 0.5).backward()
    torch.testing.assert_close(seen[1], seen[3])


@EVERY_BACKEND
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_upstream_gradients_of_any_kind(dtype: torch.dtype, reduction: str, backend: str | None) -> None:
    """Zero, negative, inf and NaN upstream gradients, expanded ones, and those of another loss below."""
    upstreams: list[torch.Tensor] = [torch.tensor(value, dtype=dtype) for value in (0.0, -2.5, 1e-3)]
    for upstream in upstreams:
        gradients = []
        for home, more in ((crossent, {"backend": backend}), (F, {})):
            leaf = x(5, 4, dtype=dtype).requires_grad_()
            loss = home.cross_entropy(leaf, LABELS, reduction=reduction, **more)
            gradients.append(torch.autograd.grad(loss, leaf, upstream.expand(loss.shape))[0])
        torch.testing.assert_close(gradients[0], gradients[1])
    leaf = x(5, 4, dtype=dtype).requires_grad_()
    loss = crossent.cross_entropy(leaf, LABELS, reduction=reduction, backend=backend)
    (gradient,) = torch.autograd.grad(loss, leaf, torch.full_like(loss, torch.nan))
    assert gradient[LABELS >= 0].isnan().all() and (gradient[2] == 0).all()


@EVERY_BACKEND
def test_double_backward_through_every_differentiable_argument(backend: str | None) -> None:
    """gradgradcheck of the options that torch does not have, in float64."""
    weight = x(4, seed=1, dtype=torch.float64).abs()

    def run(logits: torch.Tensor, sample_weight: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        return crossent.cross_entropy(
            logits, LABELS, weight, label_smoothing=0.1, sample_weight=sample_weight, logit_scale=scale, softcap=4.0,
            z_loss=0.01, backend=backend,
        )  # fmt: skip

    inputs = [t.requires_grad_() for t in (x(5, 4, dtype=torch.float64), weight[[0, 1, 2, 3, 0]].clone(), weight[1])]
    inputs[2] = inputs[2].detach().clone().requires_grad_()
    torch.autograd.gradcheck(run, inputs)
    torch.autograd.gradgradcheck(run, inputs)


@EVERY_BACKEND
def test_double_backward_of_the_stats(backend: str | None) -> None:
    def run(logits: torch.Tensor) -> tuple[torch.Tensor, ...]:
        stats = crossent.cross_entropy_with_stats(logits, LABELS, z_loss=0.1, softcap=3.0, backend=backend)
        return stats[:5]

    torch.autograd.gradcheck(run, (x(5, 4, dtype=torch.float64).requires_grad_(),))
    torch.autograd.gradgradcheck(run, (x(5, 4, dtype=torch.float64).requires_grad_(),))


@FUNCTIONS
@EVERY_BACKEND
def test_batched_gradients(function: str, backend: str | None) -> None:
    """is_grads_batched: the backward of a forward that a kernel made runs under vmap."""
    ours, theirs = pair(function, backend)
    gradients = []
    for run in (ours, theirs):
        leaf = x(5, 4).requires_grad_()
        gradients += torch.autograd.grad(run(leaf), leaf, x(3, seed=1), is_grads_batched=True)
    torch.testing.assert_close(*gradients)


@FUNCTIONS
@EVERY_BACKEND
def test_backward_under_forward_ad(function: str, backend: str | None) -> None:
    """The gradient is linear in the upstream one, so its tangent is the gradient at the upstream tangent."""
    ours, _ = pair(function, backend)
    leaf = x(5, 4).requires_grad_()
    loss = ours(leaf)
    with torch.autograd.forward_ad.dual_level():
        upstream = torch.autograd.forward_ad.make_dual(torch.tensor(1.0), torch.tensor(-2.0))
        (gradient,) = torch.autograd.grad(loss, leaf, upstream, retain_graph=True)
        value, tangent = torch.autograd.forward_ad.unpack_dual(gradient)
    torch.testing.assert_close((value, tangent), (torch.autograd.grad(loss, leaf)[0], -2 * value))


@EVERY_BACKEND
def test_gradient_penalty(backend: str | None) -> None:
    """create_graph inside a training step: the common use of double backward."""
    penalties = []
    for home, more in ((crossent, {"backend": backend}), (F, {})):
        torch.manual_seed(1)
        model = torch.nn.Linear(6, 4)
        loss = home.cross_entropy(model(x(5, 6)), LABELS, **more)
        gradients = torch.autograd.grad(loss, list(model.parameters()), create_graph=True)
        (loss + sum(g.square().sum() for g in gradients)).backward()
        penalties.append([parameter.grad for parameter in model.parameters()])
    torch.testing.assert_close(penalties[0], penalties[1])


@EVERY_BACKEND
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_the_gradient_of_nll_loss_can_be_differentiated(reduction: str, backend: str | None) -> None:
    """It does not depend on the log-probabilities: a penalty on it has a gradient of zeros, as in torch."""
    for home, more in ((crossent, {"backend": backend}), (F, {})):
        leaf = x(5, 4).log_softmax(1).requires_grad_()
        leaf.data[1, 2] = torch.inf
        loss = home.nll_loss(leaf, LABELS, reduction=reduction, **more).sum()
        (gradient,) = torch.autograd.grad(loss, leaf, create_graph=True)
        assert gradient.requires_grad
        assert torch.equal(torch.autograd.grad(gradient.square().sum(), leaf)[0], torch.zeros(5, 4))
