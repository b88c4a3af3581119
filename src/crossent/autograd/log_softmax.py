"""log_softmax: the result is what the backward needs, so it is what is saved (as torch does).

Only where the logits were mapped first (logit_scale, softcap) are they saved too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from crossent import composite, internals
from crossent.backends.protocol import Backend, Rows, compute_dtype
from crossent.problem import Layout, rows_of


@dataclass(frozen=True, slots=True)
class LogSoftmaxCall:
    """Everything about a call but its tensors. Kept on the autograd node as ``crossent_call``.

    ``node.saved_tensors[0]`` is the result; the logits are ``[1]`` where they were mapped, else not saved.
    """

    layout: Layout
    softcap: float | None
    backend: Backend
    result_dtype: torch.dtype
    function: str = "log_softmax"


class RowLogSoftmax(torch.autograd.Function):
    """``apply(call, input, logit_scale)`` -> log softmax(z) along the class dimension, contiguous."""

    @staticmethod
    def forward(ctx: Any, call: LogSoftmaxCall, input: Tensor, scale: Tensor | float | None) -> Tensor:
        rows = rows_of(input, scale, call.softcap, call.layout)
        result = call.backend.empty(tuple(input.shape), call.result_dtype, input.device)

        def fill(out: Tensor) -> None:
            call.backend.log_softmax(rows, out)

        _fill(call, rows, result, fill)
        ctx.crossent_call = call
        ctx.number = None if isinstance(scale, Tensor) else scale
        mapped = scale is not None or call.softcap is not None
        ctx.save_for_backward(result, input if mapped else None, scale if isinstance(scale, Tensor) else None)
        ctx.input_dtype = input.dtype
        return result

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Any:
        call: LogSoftmaxCall = ctx.crossent_call
        (upstream,) = grad_outputs
        log_probs, input, scale = ctx.saved_tensors
        scale = ctx.number if scale is None else scale
        if internals.backward_context(grad_outputs) is not None:
            return None, *_composite_gradients(ctx, call, log_probs, input, scale, upstream)
        # Without a map the logits are not needed: the log-probabilities stand in for them.
        rows = rows_of(log_probs if input is None else input, scale, call.softcap, call.layout)
        d_input = torch.empty(call.layout.shape, dtype=ctx.input_dtype, device=upstream.device)
        wants_scale = isinstance(scale, Tensor) and ctx.needs_input_grad[2]

        def fill(out: Tensor) -> Tensor | None:
            known = call.layout.rows(log_probs, row_shape=rows.row_shape)
            given = call.layout.rows(upstream, row_shape=rows.row_shape)
            return call.backend.log_softmax_grad(rows, known, given, out, want_scale=wants_scale)

        d_rows = _fill(call, rows, d_input, fill)
        d_scale = None
        if wants_scale:
            d_scale = (call.layout.from_rows(d_rows) if scale.dim() else d_rows.sum()).to(scale.dtype)
        return None, d_input, d_scale


def _fill(call: LogSoftmaxCall, rows: Rows, full: Tensor, fill: Any) -> Any:
    """Let ``fill`` write the rows of ``full``, through a copy where no view has them."""
    out = call.layout.row_view(full, row_shape=rows.row_shape)
    if out is not None:
        return fill(out)
    out = torch.empty(tuple(rows.logits.shape), dtype=full.dtype, device=full.device)
    answer = fill(out)
    full.copy_(call.layout.from_row_view(out, full.dtype))
    return answer


def _composite_gradients(
    ctx: Any, call: LogSoftmaxCall, log_probs: Tensor, input: Tensor | None, scale: Any, upstream: Tensor
) -> tuple[Tensor | None, Tensor | None]:
    """dx = g - softmax * sum g as a differentiable function of the result and of g."""
    dim = call.layout.class_dim
    if input is None:
        wide = upstream.to(compute_dtype(upstream.dtype))
        d_input = wide - log_probs.to(wide.dtype).exp() * wide.sum(dim, keepdim=True)
        return d_input.to(ctx.input_dtype), None
    with torch.enable_grad():
        known = composite.as_scale(scale, input)
        result = composite.log_softmax(input, dim, known, float(call.softcap or 0.0)).to(call.result_dtype)
        wanted = [input, scale] if ctx.needs_input_grad[2] and isinstance(scale, Tensor) else [input]
        gradients = torch.autograd.grad(result, wanted, upstream, create_graph=True, allow_unused=True)
    return gradients[0], gradients[1] if len(gradients) > 1 else None
