"""torch.compile, autocast, the gradient scaler, vmap and a second derivative on the device."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

import crossent
from serving import serving

CALLS: dict[str, Any] = {
    "mean": lambda home, a, y: home.cross_entropy(a, y),
    "none": lambda home, a, y: home.cross_entropy(a, y, reduction="none"),
    "smoothed": lambda home, a, y: home.cross_entropy(a, y, label_smoothing=0.1),
    "probabilities": lambda home, a, y: home.cross_entropy(a, a.detach().softmax(1)),
    "nll": lambda home, a, y: home.nll_loss(a, y, reduction="sum"),
    "log_softmax": lambda home, a, y: home.log_softmax(a, 1),
}


def logits(place: Any, rows: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(rows, 37, device=place.device, dtype=dtype).requires_grad_()


def labels(place: Any, rows: int) -> torch.Tensor:
    target = torch.arange(rows, device=place.device) % 37
    return torch.where(target == 3, -100, target)


@pytest.mark.parametrize("mode", ["aot_eager", "inductor"])
@pytest.mark.parametrize("name", CALLS)
def test_compiled_as_one_graph(name: str, mode: str, place: Any) -> None:
    if mode == "inductor" and not place.is_device:
        pytest.skip("a stand-in compiles for minutes; tests/test_compiled.py does it on the CPU")
    torch._dynamo.reset()
    compiled = torch.compile(lambda a, y: CALLS[name](crossent, a, y), fullgraph=True, backend=mode)
    for rows in (5, 6, 64):
        input, target = logits(place, rows), labels(place, rows)
        if name == "nll":
            target = target.clamp(min=0)
        result, expected = compiled(input, target), CALLS[name](F, input, target)
        torch.testing.assert_close(result, expected)
        gradients = [torch.autograd.grad(each.sum(), input)[0] for each in (result, expected)]
        torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("low", [torch.bfloat16, torch.float16], ids=str)
def test_autocast(low: torch.dtype, place: Any) -> None:
    if place.device == "cpu" and low == torch.float16:
        pytest.skip("autocast on the CPU is tested in bfloat16")
    model = torch.nn.Linear(16, 37, device=place.device)
    input, target = torch.randn(9, 16, device=place.device), labels(place, 9)
    with torch.autocast(place.device, dtype=low):
        output = model(input)
        with serving() as calls:
            ours = crossent.cross_entropy(output, target, backend=place.backend)
        theirs = F.cross_entropy(output, target)
        linear = crossent.linear_cross_entropy(
            input, model.weight, target, linear_bias=model.bias, backend=place.backend
        )
    assert [call.by for call in calls] == [place.backend] and output.dtype == low
    assert ours.dtype == theirs.dtype == linear.dtype == torch.float32
    torch.testing.assert_close(ours, theirs, rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(linear, theirs, rtol=1e-2, atol=1e-2)
    gradients = [torch.autograd.grad(each, model.weight, retain_graph=True)[0] for each in (ours, theirs, linear)]
    for gradient in (gradients[0], gradients[2]):
        torch.testing.assert_close(gradient, gradients[1], rtol=2e-2, atol=2e-3)


def test_a_scaled_float16_gradient_does_not_underflow(place: Any) -> None:
    """1 / (rows * classes) is below float16's smallest number; the scaler's factor reaches the kernel first."""
    input = torch.zeros(4096, 64, device=place.device, dtype=torch.float16).requires_grad_()
    target = torch.zeros(4096, dtype=torch.int64, device=place.device)
    loss = crossent.cross_entropy(input, target, backend=place.backend)
    gradient = torch.autograd.grad(loss, input, torch.tensor(2.0**14, device=place.device).to(loss.dtype))[0]
    assert bool((gradient != 0).all())
    torch.testing.assert_close(gradient[0, 1].float() / 2**14, torch.tensor(1 / 64 / 4096, device=place.device))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_second_derivatives(reduction: str, place: Any) -> None:
    input = torch.randn(4, 5, device=place.device, dtype=torch.float64).requires_grad_()
    target = torch.tensor([0, -100, 2, 4], device=place.device)

    def loss(a: torch.Tensor) -> torch.Tensor:
        return crossent.cross_entropy(a, target, reduction=reduction, backend=place.backend)

    assert torch.autograd.gradcheck(loss, input)
    assert torch.autograd.gradgradcheck(loss, input)


def test_transforms_fall_back_to_the_composite(place: Any) -> None:
    input, target = logits(place, 6).detach(), labels(place, 6)
    per_row = torch.func.vmap(torch.func.grad(lambda a, y: crossent.cross_entropy(a[None], y[None], reduction="sum")))
    expected = torch.func.vmap(torch.func.grad(lambda a, y: F.cross_entropy(a[None], y[None], reduction="sum")))
    torch.testing.assert_close(per_row(input, target), expected(input, target), equal_nan=True)
