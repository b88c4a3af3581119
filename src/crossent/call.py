"""One straight pipe: checks, hand-overs, backend, autograd. Every public loss is one line into here.

values refused (options) -> torch owns it? -> shapes refused (problem; torch says why)
-> composite context? -> backend chosen (dispatch) -> autograd function
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from crossent import composite, dispatch, engine, errors, handover, internals, problem, small
from crossent.autograd import LogSoftmaxCall, RowLogSoftmax
from crossent.options import LossOptions, as_python, checked
from crossent.problem import FLOATING, Layout, LossTensors


def loss(function: str, tensors: LossTensors, options: LossOptions, readouts: bool = False) -> tuple[Tensor, ...]:
    """A loss: (loss,), or (loss, *readouts.FIELDS)."""
    options, tensors = checked(options), problem.plain_numbers(tensors)
    if not isinstance(tensors.input, Tensor) or not isinstance(tensors.target, Tensor):
        return _torch_answers(function, tensors, options, readouts, "an argument is not a tensor")
    plain = not readouts and handover.is_plain(tensors, options)
    reason = handover.torch_owns(tensors, plain=plain)
    if reason is not None:
        return _torch_answers(function, tensors, options, readouts, reason)
    casts = _autocasts(tensors.input)
    layout = None
    if tensors.weight is None or isinstance(tensors.weight, Tensor):
        layout = problem.layout_of(function, tensors, options, casts=casts)
    if layout is None:
        return _torch_answers(function, tensors, options, readouts, "arguments that crossent does not know")
    problem.check_extras(tensors, options, layout)
    probability = problem.is_probability(function, tensors)
    dtype = problem.result_dtype(tensors, options, probability=probability, casts=casts)
    reason = handover.composite_context(tensors)
    if reason is not None:
        if internals.is_compiling() and not readouts:
            from crossent import ops  # only here: it loads Dynamo, which costs as much as torch itself

            if ops.fits(tensors.input.device.type, options.backend):
                return (ops.loss(function, tensors, options, layout, dtype),)
        _refuse_backend(options, reason)
        return _by_composite(function, tensors, options, layout, dtype, readouts, reason)
    backend, reason = dispatch.choose(options.backend, tensors.input.device, tensors.input.dtype)
    if reason is not None and plain and handover.torch_is_right(tensors.input):
        return _torch_answers(function, tensors, options, readouts, reason)
    return engine.row_loss(function, tensors, options, layout, dtype, backend, readouts, reason)


def _torch_answers(
    function: str, tensors: LossTensors, options: LossOptions, readouts: bool, reason: str
) -> tuple[Tensor, ...]:
    """torch's own function refuses the call, or serves it where it means the same."""
    answer = handover.refer_to_torch(function, tensors, options, reason)
    if readouts:
        raise errors.refuse("XEN042", reason=reason, came="cross_entropy_with_stats")
    return (answer,)


def _by_composite(
    function: str, tensors: LossTensors, options: LossOptions, layout: Layout, dtype: torch.dtype, readouts: bool,
    reason: str,
) -> tuple[Tensor, ...]:  # fmt: skip
    try:
        answer = composite.evaluate(function, tensors, options, layout, dtype, readouts)
    except (IndexError, RuntimeError):
        if not internals.is_compiling():
            handover.ask_torch(function, tensors, options, layout)  # a label out of range: torch says so in its words
        raise
    handover.notify(function, tensors.input, "composite", reason)
    return answer


def _autocasts(input: Tensor) -> bool:
    """Whether autocast would make torch's losses compute in float32."""
    kind = input.device.type
    return kind in ("cpu", "cuda", "xpu", "mps", "hpu") and torch.is_autocast_enabled(kind)


def _refuse_backend(options: LossOptions, reason: str) -> None:
    if options.backend is not None:
        raise errors.refuse("XEN041", came=options.backend, reason=reason)


def log_softmax(input: Any, dim: Any, dtype: Any, scale: Tensor | float | None, options: LossOptions) -> Tensor:
    """log_softmax along ``dim``, with torch's refusals."""
    options, scale = checked(options), as_python(scale)
    plain = scale is None and options.softcap is None and options.backend is None
    reason = _not_ours(input, dim, dtype, scale, plain)
    if reason is None and plain and dtype is None and small.fits_logits(input, dim):
        reason = small.REASON
    if reason is not None:
        answer = _torch_log_softmax(input, dim, dtype, reason)
        if not plain:
            raise errors.refuse("XEN042", reason=reason, came="crossent options")
        return answer
    if input.dtype not in FLOATING or dtype == torch.float64:
        input = input.to(dtype)  # torch converts first; a floating input that loses nothing is read as it is
    if input.dim() == 0:
        return log_softmax(input.reshape(1), 0, dtype, scale, options).reshape(())
    layout = Layout(tuple(input.shape), dim % input.dim(), 0)
    if scale is not None:
        problem.check_scale(scale, layout.index_shape, input)
    result_dtype = dtype or (torch.float32 if input.device.type == "cuda" and _autocasts(input) else input.dtype)
    if result_dtype == torch.float32 and dtype is None and input.dtype == torch.float64:
        result_dtype = input.dtype
    reason = handover.composite_context((input, scale))
    if reason is not None:
        _refuse_backend(options, reason)
        known = composite.as_scale(scale, input)
        answer = composite.log_softmax(input, layout.class_dim, known, float(options.softcap or 0.0))
        handover.notify("log_softmax", input, "composite", reason)
        return answer.to(result_dtype)
    backend, reason = dispatch.choose(options.backend, input.device, input.dtype)
    if reason is not None and plain and handover.torch_is_right(input):
        return _torch_log_softmax(input, dim, dtype, reason)
    made = LogSoftmaxCall(layout, options.softcap, backend, result_dtype)
    answer = cast(Tensor, RowLogSoftmax.apply(made, input, scale))
    handover.notify("log_softmax", input, backend.name, reason)
    return answer


def _torch_log_softmax(input: Any, dim: Any, dtype: Any, reason: str) -> Tensor:
    answer = internals.TORCH["log_softmax"](input, dim, dtype=dtype)
    handover.notify("log_softmax", input, "torch", reason)
    return answer


def _not_ours(input: Any, dim: Any, dtype: Any, scale: Any, plain: bool) -> str | None:
    """Why torch must answer (or refuse) this log_softmax, or None."""
    if not isinstance(input, Tensor) or not isinstance(dim, int) or isinstance(dim, bool):
        return "an argument of another type"
    reason = handover.torch_owns((input, scale), plain=plain)
    if reason is not None:
        return reason
    if not -max(1, input.dim()) <= dim < max(1, input.dim()):
        return "dim out of range"
    if (dtype or input.dtype) not in FLOATING:
        return f"dtype {dtype or input.dtype}"
    return None
