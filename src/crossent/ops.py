"""The losses as torch operators, crossed only while ``torch.compile`` traces.

In eager mode an operator would only cost (a few microseconds a call); under a compiler it is how a
kernel that the compiler cannot see stays one node of the graph. What an operator does is the eager call
itself; added here are its shape (the fake kernel) and its gradient:

* mean and sum: ``crossent::loss_and_gradients`` makes the gradients in the forward pass, and the
  backward multiplies them by the upstream gradient;
* none, and float16 (whose gradient would underflow before the gradient scaler's factor reaches it):
  ``crossent::loss``, and in the backward ``crossent::loss_backward``, which reads the logits again.

Whatever else is traced (functorch transforms, export) is the composite's, whose operations every tracer
knows. What a trace is specialised to crosses the operator boundary as one string (``encode``).
"""

from __future__ import annotations

import functools
import json
import operator
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from crossent import dispatch, engine, internals
from crossent.options import LossOptions
from crossent.problem import Layout, LossTensors

DIFFERENTIABLE = (0, 1, 3, 5)  # positions in LossTensors: input, target, sample_weight, logit_scale


@torch.compiler.assume_constant_result
def fits(device: str, backend: str | None) -> bool:
    """Whether this trace is one that an operator can stand in, on a device with an engine."""
    if internals.peek_functorch() is not None or torch.compiler.is_exporting():
        return False
    name = dispatch.ENGINE_OF_DEVICE.get(device) if backend is None else backend
    return name is not None and not isinstance(dispatch.load(name), str)


def loss(function: str, tensors: LossTensors, options: LossOptions, layout: Layout, dtype: torch.dtype) -> Tensor:
    """The loss as one operator."""
    device = tensors.input.device
    arguments: list[Tensor | None] = [
        value
        if value is None or isinstance(value, Tensor)
        else torch.full((), value, dtype=torch.float64, device=device)
        for value in tensors
    ]
    places = operator.index(layout.class_dim), operator.index(layout.shift)  # Dynamo's own integers become constants
    words = encode(function, options.reduction, options.if_all_ignored, *places, options.backend, dtype)
    numbers = (options.ignore_index, options.label_smoothing, options.softcap or 0.0, options.z_loss)
    wanted = [index for index in DIFFERENTIABLE if _differentiates(arguments[index])]
    if wanted and options.reduction != "none" and tensors.input.dtype != torch.float16:
        return loss_and_gradients(*arguments, *numbers, words, wanted)[0]
    return loss_alone(*arguments, *numbers, words)


def _differentiates(tensor: Tensor | None) -> bool:
    return tensor is not None and tensor.requires_grad and torch.is_grad_enabled()


@torch.compiler.assume_constant_result
def encode(
    function: str, reduction: str, if_all_ignored: str, class_dim: int, shift: int, backend: str | None,
    dtype: torch.dtype,
) -> str:  # fmt: skip
    """What a trace is specialised to, as one string; numbers that may change from call to call stay arguments."""
    name = str(dtype).removeprefix("torch.")
    return json.dumps([function, reduction, if_all_ignored, class_dim, shift, backend, name])


@functools.lru_cache(maxsize=256)
def _decode(
    ignore_index: int, label_smoothing: float, softcap: float, z_loss: float, words: str
) -> tuple[str, LossOptions]:
    function, reduction, if_all_ignored, class_dim, shift, backend, dtype = json.loads(words)
    return function, LossOptions(
        reduction=reduction,
        ignore_index=ignore_index,
        label_smoothing=label_smoothing,
        softcap=softcap or None,
        z_loss=z_loss,
        out_dtype=getattr(torch, dtype),
        if_all_ignored=if_all_ignored,
        class_dim=class_dim,
        shift=shift,
        backend=backend,
    )


# ---- crossent::loss ----------------------------------------------------------------------------


@torch.library.custom_op("crossent::loss", mutates_args=())
def loss_alone(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    sample_weight: Tensor | None,
    denominator: Tensor | None,
    logit_scale: Tensor | None,
    ignore_index: int,
    label_smoothing: float,
    softcap: float,
    z_loss: float,
    words: str,
) -> Tensor:
    """The eager loss."""
    function, options = _decode(ignore_index, label_smoothing, softcap, z_loss, words)
    tensors = LossTensors(input, target, weight, sample_weight, denominator, logit_scale)
    return engine.loss(function, tensors, options)


@loss_alone.register_fake
def _(input: Tensor, target: Tensor, *arguments: Any) -> Tensor:
    return _fake_loss(input, arguments[-1])


def _fake_loss(input: Tensor, words: str) -> Tensor:
    _, reduction, _, class_dim, _, _, dtype = json.loads(words)
    shape = [size for dimension, size in enumerate(input.shape) if dimension != class_dim]
    return input.new_empty(shape if reduction == "none" else [], dtype=getattr(torch, dtype))


# ---- crossent::loss_backward -------------------------------------------------------------------


@torch.library.custom_op("crossent::loss_backward", mutates_args=())
def loss_backward(
    upstream: Tensor,
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    sample_weight: Tensor | None,
    denominator: Tensor | None,
    logit_scale: Tensor | None,
    ignore_index: int,
    label_smoothing: float,
    softcap: float,
    z_loss: float,
    words: str,
    wanted: Sequence[int],
) -> list[Tensor]:
    """The eager gradients, from the logits."""
    tensors = (input, target, weight, sample_weight, denominator, logit_scale)
    decoded = _decode(ignore_index, label_smoothing, softcap, z_loss, words)
    return _loss_and_gradients(tensors, *decoded, wanted, upstream)[1:]


@loss_backward.register_fake
def _(upstream: Tensor, input: Tensor, target: Tensor, *arguments: Any) -> list[Tensor]:
    return _fake_gradients((input, target, *arguments[:4]), arguments[-1])


def _fake_gradients(tensors: Sequence[Any], wanted: Sequence[int]) -> list[Tensor]:
    return [torch.empty(t.shape, dtype=t.dtype, device=t.device) for t in (tensors[index] for index in wanted)]


def _loss_and_gradients(
    tensors: Sequence[Tensor | None],
    function: str,
    options: LossOptions,
    wanted: Sequence[int],
    upstream: Tensor | None,
) -> list[Tensor]:
    leaves = [None if tensor is None else tensor.detach() for tensor in tensors]
    roots = [leaf.requires_grad_() for index in wanted if (leaf := leaves[index]) is not None]
    with torch.enable_grad():
        answer = engine.loss(function, LossTensors(*leaves), options)  # type: ignore[arg-type]
        gradients = torch.autograd.grad(answer, roots, upstream)
    return [answer.detach(), *(gradient.contiguous() for gradient in gradients)]


def _save_arguments(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    tensors, ctx.numbers = inputs[:6], inputs[6:]
    ctx.wanted = [index for index in DIFFERENTIABLE if ctx.needs_input_grad[index]]
    ctx.save_for_backward(*tensors)


def _recompute(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
    found = loss_backward(upstream, *ctx.saved_tensors, *ctx.numbers, ctx.wanted)
    return *_placed(ctx.wanted, found), *(None,) * 5


def _placed(wanted: Sequence[int], gradients: Sequence[Tensor]) -> list[Tensor | None]:
    """Gradients at the positions of the tensors they belong to."""
    by_index = dict(zip(wanted, gradients, strict=True))
    return [by_index.get(index) for index in range(len(LossTensors._fields))]


loss_alone.register_autograd(_recompute, setup_context=_save_arguments)


# ---- crossent::loss_and_gradients --------------------------------------------------------------


@torch.library.custom_op("crossent::loss_and_gradients", mutates_args=())
def loss_and_gradients(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    sample_weight: Tensor | None,
    denominator: Tensor | None,
    logit_scale: Tensor | None,
    ignore_index: int,
    label_smoothing: float,
    softcap: float,
    z_loss: float,
    words: str,
    wanted: Sequence[int],
) -> list[Tensor]:
    """The eager loss, and its gradients at an upstream gradient of 1."""
    tensors = (input, target, weight, sample_weight, denominator, logit_scale)
    decoded = _decode(ignore_index, label_smoothing, softcap, z_loss, words)
    return _loss_and_gradients(tensors, *decoded, wanted, None)


@loss_and_gradients.register_fake
def _(input: Tensor, target: Tensor, *arguments: Any) -> list[Tensor]:
    return [_fake_loss(input, arguments[-2]), *_fake_gradients((input, target, *arguments[:4]), arguments[-1])]


def _save_gradients(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    ctx.wanted = inputs[-1]
    ctx.save_for_backward(*output[1:])


def _multiply(ctx: Any, upstream: list[Tensor | None]) -> tuple[Tensor | None, ...]:
    factor = upstream[0]
    assert factor is not None
    found = [(gradient * factor).to(gradient.dtype) for gradient in ctx.saved_tensors]
    return *_placed(ctx.wanted, found), *(None,) * 6


loss_and_gradients.register_autograd(_multiply, setup_context=_save_gradients)
