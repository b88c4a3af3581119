"""Contexts a loss is called in: function transforms, forward AD, modes, autocast, layouts, threads.

Each is compared with torch's loss in the same context, and asserts who served: kernels (the device's
engine or the reference) where they can run, the composite under transforms and modes, torch itself only for
those who asked to see torch's function.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import forward_ad
from torch.func import functional_call, functionalize, grad, hessian, jacfwd, jacrev, jvp, vjp, vmap

import crossent
from serving import BACKENDS, expected_server, serving

pytestmark = pytest.mark.usefixtures("no_small_calls")

LABELS = torch.tensor([0, 3, -100, 1, 2])
Loss = Callable[[torch.Tensor], torch.Tensor]


def x(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


W, P = x(4, seed=1).abs(), x(5, 4, seed=2).softmax(1)
CASES: dict[str, tuple[str, tuple[int, ...], tuple[Any, ...], dict[str, Any]]] = {
    "mean": ("cross_entropy", (5, 4), (LABELS,), {}),
    "sum": ("cross_entropy", (5, 4), (LABELS,), {"reduction": "sum"}),
    "none": ("cross_entropy", (5, 4), (LABELS,), {"reduction": "none"}),
    "weighted, smoothed": (
        "cross_entropy",
        (5, 4),
        (LABELS.clamp(min=0), W),
        {"label_smoothing": 0.2, "ignore_index": 3},
    ),
    "probabilities": ("cross_entropy", (5, 4), (P, W), {"label_smoothing": 0.2}),
    "K": ("cross_entropy", (2, 4, 5), (torch.stack([LABELS, LABELS.flip(0)]), W), {}),
    "unbatched": ("cross_entropy", (4,), (torch.tensor(2),), {}),
    "nll": ("nll_loss", (5, 4), (LABELS, W), {}),
    "nll none": ("nll_loss", (2, 4, 5), (torch.stack([LABELS, LABELS]),), {"reduction": "none"}),
    "log_softmax": ("log_softmax", (5, 4), (), {"dim": 1}),
}


def loss_of(home: Any, name: str, **more: Any) -> Loss:
    function, _, args, kwargs = CASES[name]
    return lambda input: getattr(home, function)(input, *args, **kwargs, **more)


def scalar(loss: Loss) -> Loss:
    """For transforms that differentiate: a number that every element has a different share in."""

    def run(input: torch.Tensor) -> torch.Tensor:
        result = loss(input)
        return (result * torch.arange(1.0, result.numel() + 1, dtype=result.dtype).reshape(result.shape)).sum()

    return run


def dual(loss: Loss, input: torch.Tensor) -> Any:
    with forward_ad.dual_level():
        return tuple(forward_ad.unpack_dual(loss(forward_ad.make_dual(input, x(*input.shape, seed=4)))))


TRANSFORMS: dict[str, Callable[[Loss, torch.Tensor], Any]] = {
    "vmap": lambda f, a: vmap(f)(torch.stack([a, 2 * a, -a])),
    "vmap in_dims": lambda f, a: vmap(f, in_dims=-1)(torch.stack([a, 2 * a, -a], -1)),
    "vmap out_dims": lambda f, a: vmap(lambda b: f(b).reshape(1, -1), out_dims=1)(torch.stack([a, 2 * a])),
    "vmap vmap": lambda f, a: vmap(vmap(f))(torch.stack([a, 2 * a, -a, a])[:, None].expand(4, 2, *a.shape)),
    "grad": lambda f, a: grad(scalar(f))(a),
    "vmap grad": lambda f, a: vmap(grad(scalar(f)))(torch.stack([a, 2 * a])),
    "vjp": lambda f, a: vjp(scalar(f), a)[1](torch.tensor(3.0, dtype=a.dtype)),
    "jvp": lambda f, a: jvp(f, (a,), (x(*a.shape, seed=3),)),
    "jacrev": lambda f, a: jacrev(f)(a),
    "jacfwd": lambda f, a: jacfwd(f)(a),
    "hessian": lambda f, a: hessian(scalar(f))(a),
    "forward over reverse": lambda f, a: jvp(grad(scalar(f)), (a,), (x(*a.shape, seed=3),)),
    "reverse over forward": lambda f, a: grad(lambda b: jvp(scalar(f), (b,), (x(*a.shape, seed=3),))[1])(a),
    "functionalize": lambda f, a: functionalize(f)(a),
    "dual numbers": dual,
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_function_transforms(transform: str, case: str) -> None:
    input = x(*CASES[case][1])
    expected = TRANSFORMS[transform](loss_of(F, case), input)
    with serving() as calls:
        answer = TRANSFORMS[transform](loss_of(crossent, case), input)
    assert calls and {call.by for call in calls} == {"composite"}, calls
    torch.testing.assert_close(answer, expected, rtol=1e-10, atol=1e-12)


def test_per_sample_gradients_of_a_model() -> None:
    """The documented use of vmap(grad): one gradient of the parameters per sample."""
    model = torch.nn.Linear(3, 4, dtype=torch.float64)
    parameters = {name: parameter.detach() for name, parameter in model.named_parameters()}

    def per_sample(home: Any) -> Any:
        def loss(weights: Any, sample: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
            return home.cross_entropy(functional_call(model, weights, (sample[None],)), label[None])

        return vmap(grad(loss), in_dims=(None, 0, 0))(parameters, x(5, 3), torch.tensor([0, 1, 2, 3, 0]))

    torch.testing.assert_close(per_sample(crossent), per_sample(F))


def test_vmap_over_targets_and_probabilities() -> None:
    inputs, targets = x(3, 5, 4), torch.randint(4, (3, 5))
    for target in (targets, x(3, 5, 4).softmax(-1)):
        torch.testing.assert_close(vmap(crossent.cross_entropy)(inputs, target), vmap(F.cross_entropy)(inputs, target))


@pytest.mark.parametrize("case", ["mean", "weighted, smoothed", "probabilities", "K", "nll", "log_softmax"])
def test_autograd_functional(case: str) -> None:
    """torch.autograd.functional builds on double backward: kernels forward, composite behind them."""
    input = x(*CASES[case][1])
    for transform in (torch.autograd.functional.hessian, torch.autograd.functional.jacobian):
        with serving() as calls:
            answer = transform(scalar(loss_of(crossent, case)), input)
        assert {call.by for call in calls} == {expected_server(None)}
        torch.testing.assert_close(answer, transform(scalar(loss_of(F, case)), input))


# ---- modes and foreign tensors -----------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_meta_and_fake_tensors(case: str) -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    function, shape, args, kwargs = CASES[case]
    real = getattr(F, function)(x(*shape), *args, **kwargs)
    meta_args = [a.to("meta") for a in args]
    input = torch.empty(shape, device="meta", dtype=torch.float64, requires_grad=True)
    with serving() as calls:
        answer = getattr(crossent, function)(input, *meta_args, **kwargs)
    assert [call.by for call in calls] == ["composite"]
    assert (answer.shape, answer.dtype, answer.device.type) == (real.shape, real.dtype, "meta")
    assert torch.autograd.grad(answer.sum(), input)[0].shape == shape
    mode = FakeTensorMode()
    fake_args = [mode.from_tensor(a) for a in args]
    fake = mode.from_tensor(x(*shape)).requires_grad_()
    with mode:
        answer = getattr(crossent, function)(fake, *fake_args, **kwargs)
        assert (answer.shape, answer.dtype) == (real.shape, real.dtype)
        assert torch.autograd.grad(answer.sum(), fake)[0].shape == shape
    outside = getattr(crossent, function)(fake, *fake_args, **kwargs)  # fake tensors outlive their mode
    assert outside.shape == real.shape


class Sees(torch.overrides.TorchFunctionMode):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen.append(getattr(func, "__name__", ""))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("function", ["cross_entropy", "nll_loss", "log_softmax"])
def test_a_function_mode_sees_torchs_function(function: str) -> None:
    args = {"dim": 1} if function == "log_softmax" else {"target": LABELS}
    input = x(5, 4)
    with Sees() as mode, serving() as calls:
        answer = getattr(crossent, function)(input, **args)
    assert mode.seen.count(function) == 1
    assert [(call.by, call.reason) for call in calls] == [("torch", "TorchFunctionMode Sees")]
    torch.testing.assert_close(answer, getattr(F, function)(x(5, 4), **args))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_function_mode_does_not_keep_ours_from_running(backend: str | None) -> None:
    """torch's function cannot answer a call with crossent's options, or for a backend that was asked for."""
    input = x(5, 4)
    expected = crossent.cross_entropy(input, LABELS, z_loss=0.1, backend="reference")
    with Sees(), serving() as calls:
        answer = crossent.cross_entropy(input, LABELS, z_loss=0.1, backend=backend)
        plain = crossent.cross_entropy(input, LABELS, backend="reference")
        crossent.log_softmax(input, 1, softcap=3.0, backend="reference")
        crossent.cross_entropy_with_stats(input, LABELS, backend="reference")
    assert [call.by for call in calls] == [expected_server(backend), *["reference"] * 3]
    torch.testing.assert_close(answer, expected)
    torch.testing.assert_close(plain, F.cross_entropy(input, LABELS))


class Logged(torch.Tensor):
    calls: list[str]

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        Logged.calls.append(getattr(func, "__name__", ""))
        return super().__torch_function__(func, types, args, kwargs or {})


def test_a_subclass_with_its_own_torch_function() -> None:
    Logged.calls = []
    with serving() as calls:
        answer = crossent.cross_entropy(x(5, 4).as_subclass(Logged), LABELS)
    assert "cross_entropy" in Logged.calls and isinstance(answer, Logged)
    assert [(call.by, call.reason) for call in calls] == [("torch", "Logged overrides torch functions")]


class Quiet(torch.Tensor):
    """A subclass without a say of its own."""


def test_a_subclass_without() -> None:
    answer = crossent.cross_entropy(x(5, 4).as_subclass(Quiet), LABELS)
    expected = F.cross_entropy(x(5, 4).as_subclass(Quiet), LABELS)
    assert type(answer) is type(expected)
    torch.testing.assert_close(answer, expected)


@pytest.mark.parametrize("kind", [torch.nn.Parameter, torch.nn.Buffer])
def test_parameters_and_buffers_are_plain_tensors(kind: Any) -> None:
    with serving() as calls:
        answer = crossent.cross_entropy(kind(x(5, 4)), LABELS, backend="reference")
    assert [call.by for call in calls] == ["reference"] and type(answer) is torch.Tensor


@pytest.mark.parametrize("backend", BACKENDS)
def test_default_device_is_no_foreign_mode(backend: str | None) -> None:
    with torch.device("cpu"), serving() as calls:
        answer = crossent.cross_entropy(x(5, 4), LABELS, backend=backend)
    assert [call.by for call in calls] == [expected_server(backend)]
    torch.testing.assert_close(answer, F.cross_entropy(x(5, 4), LABELS))


# ---- autocast ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("cast", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("case", ["mean", "none", "weighted, smoothed", "probabilities", "K", "nll", "log_softmax"])
def test_autocast_on_cpu(case: str, cast: torch.dtype, dtype: torch.dtype, backend: str | None) -> None:
    """The losses compute in float32 and return it; log_softmax is not on the list and keeps its dtype."""
    function, shape, args, kwargs = CASES[case]
    args = tuple(a.to(dtype) if a.is_floating_point() else a for a in args)
    gradients = []
    for home, more in ((crossent, {"backend": backend}), (F, {})):
        input = x(*shape).to(dtype).requires_grad_()
        with torch.autocast("cpu", cast), serving() as calls:
            answer = getattr(home, function)(input, *args, **kwargs, **more)
        assert home is F or [call.by for call in calls] == [expected_server(backend, dtype)]
        gradients.append((answer.detach(), torch.autograd.grad(answer.sum(), input)[0]))
    half = torch.float16 if dtype == torch.float16 else torch.bfloat16  # torch's log_softmax rounds twice there
    loose = {"rtol": 4 * torch.finfo(half).eps, "atol": 4 * torch.finfo(half).eps} if dtype == half else {}
    torch.testing.assert_close(gradients[0], gradients[1], **loose)


# ---- layouts -----------------------------------------------------------------------------------------------

LAYOUTS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "contiguous": lambda a: a,
    "transposed": lambda a: a.transpose(1, -1).contiguous().transpose(1, -1),
    "channels last": lambda a: a.contiguous(memory_format=torch.channels_last),
    "every second": lambda a: torch.stack([a, a * 0 - 9], -1).flatten(-2)[..., ::2],
    "expanded": lambda a: a[:1].expand(a.shape),
    "zero stride classes": lambda a: a[:, :1].expand(a.shape),
    "negative bit": lambda a: torch.complex(torch.zeros_like(a), -a).conj().imag,
    "offset": lambda a: torch.cat([a, a])[a.shape[0] :],
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("function", ["cross_entropy", "nll_loss", "log_softmax"])
def test_layouts(function: str, layout: str, backend: str | None) -> None:
    """Any strides in; results contiguous; `.grad` of the leaf as torch's."""
    torch_cannot = function == "nll_loss" and layout in ("transposed", "channels last")  # docs/differences.md
    labels = torch.stack([torch.arange(24).reshape(3, 2, 4).transpose(1, 2) % 5] * 2, -1)[..., 0]
    outcomes = []
    for home, more in ((crossent, {"backend": backend}), (F, {})):
        leaf = LAYOUTS[layout](x(3, 5, 4, 2)).detach()
        leaf = (leaf.contiguous() if torch_cannot and home is F else leaf).requires_grad_()
        view = LAYOUTS[layout](x(3, 5, 4, 2).requires_grad_())
        args = {"dim": 1} if function == "log_softmax" else {"target": labels, "reduction": "none"}
        with serving() as calls:
            results = [getattr(home, function)(input, **args, **more) for input in (leaf, view)]
        assert home is F or [call.by for call in calls] == [expected_server(backend)] * 2
        upstream = x(*results[0].shape, seed=5).transpose(0, 1).contiguous().transpose(0, 1)
        results[0].backward(upstream)
        outcomes.append((*(result.detach() for result in results), leaf.grad, leaf.grad.stride(), results[0].stride()))
    torch.testing.assert_close(outcomes[0][:3], outcomes[1][:3])
    assert outcomes[0][4] == outcomes[1][4]
    assert torch_cannot or layout in ("expanded", "zero stride classes") or outcomes[0][3] == outcomes[1][3]


def negated_lazily(a: torch.Tensor) -> torch.Tensor:
    """The same numbers; in memory their negatives, and a mark."""
    return torch._neg_view(-a)


@pytest.mark.parametrize("backend", BACKENDS)
def test_lazy_negation_of_every_tensor(backend: str | None) -> None:
    """`-a` that is not made yet (`a.conj().imag`): kernels read memory, so each tensor has to be made first."""
    rows = x(6, 1, seed=3)[:, 0].abs()
    given = {"weight": x(5, seed=1).abs(), "sample_weight": rows, "logit_scale": rows + 1}
    targets = (torch.arange(6) % 5, x(6, 5, seed=2).softmax(1))
    for target, reduction in itertools.product(targets, ("none", "sum")):
        outcomes = []
        for form in (negated_lazily, torch.Tensor.clone):
            input = form(x(6, 5)).requires_grad_()
            options: dict[str, Any] = {name: form(value) for name, value in given.items()}
            loss = crossent.cross_entropy(input, form(target), **options, reduction=reduction, backend=backend)
            (gradient,) = torch.autograd.grad(loss, input, form(x(*loss.shape, seed=4)))
            result = crossent.log_softmax(input, 1, logit_scale=options["logit_scale"], backend=backend)
            outcomes.append((loss, gradient, result, *torch.autograd.grad(result, input, form(x(6, 5, seed=5)))))
        torch.testing.assert_close(*outcomes)
    with pytest.raises(RuntimeError, match="XEN043"):
        crossent.cross_entropy(negated_lazily(x(6, 5)), targets[0], inplace=True, backend=backend)


# ---- threads -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
def test_two_threads_at_once(backend: str | None) -> None:
    """As DataParallel replicas do: forward and backward in several threads give what one thread gives."""
    inputs = [x(64, 300, seed=seed, dtype=torch.float32) for seed in range(4)]
    labels = torch.arange(64)
    expected = []
    for input in inputs:
        leaf = input.clone().requires_grad_()
        expected.append(torch.autograd.grad(crossent.cross_entropy(leaf, labels, backend=backend), leaf)[0])
    found: list[list[torch.Tensor]] = [[] for _ in inputs]

    def work(index: int) -> None:
        for _ in range(20):
            leaf = inputs[index].clone().requires_grad_()
            crossent.cross_entropy(leaf, labels, backend=backend).backward()
            found[index].append(leaf.grad)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(inputs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index, gradients in enumerate(found):
        assert len(gradients) == 20 and all(torch.equal(gradient, expected[index]) for gradient in gradients)
