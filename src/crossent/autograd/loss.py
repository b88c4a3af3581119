"""Losses of rows: forward, backward, and the gradient that is made in the forward pass.

**The gradient in the forward pass.** Where the upstream gradient of every row is one number times
something known (mean, sum), an engine makes the gradient while a row is still in cache and it is saved
instead of being computed later. The first backward hands that buffer out (one scale pass if the
upstream is not exactly 1); what happens to it then is the caller's, so a second backward computes the
gradient afresh from the logits. With ``inplace`` the buffer is the logits' own memory: their version counter is
raised, so that torch refuses where another node had saved them, and there is no second backward.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from crossent import composite, errors, internals, readouts, stats
from crossent.backends.protocol import Backend, RowGradWant, RowProblem, on_host
from crossent.options import LossOptions
from crossent.problem import Layout, LossTensors, number_on, row_problem, share_of_rows
from crossent.stats import GradCoefficients, RowStats

NOTHING = (None,) * len(LossTensors._fields)


@dataclass(frozen=True, slots=True)
class LossCall:
    """Everything about a call but its tensors. Kept on the autograd node as ``crossent_call``.

    ``node.saved_tensors[0]`` are the logits as the caller passed them, ``[1]`` the target.
    """

    function: str
    options: LossOptions
    layout: Layout
    backend: Backend
    result_dtype: torch.dtype
    readouts: bool = False
    records: bool = True  # whether a backward can follow: grad mode was on

    def problem(self, tensors: LossTensors) -> RowProblem:
        """The rows of this call."""
        return row_problem(tensors, self.options, self.layout, function=self.function)


class RowLoss(torch.autograd.Function):
    """A loss of rows of logits: ``apply(call, *LossTensors)`` -> loss, or (loss, *readouts.FIELDS)."""

    @staticmethod
    def forward(ctx: Any, call: LossCall, *arguments: Any) -> Any:
        tensors = LossTensors(*arguments)
        problem = call.problem(tensors)
        weight = _row_weight(call, tensors, problem)
        below = _denominator(call, tensors, problem, weight)
        numbers = buffer = rows = total = None
        ctx.handed_out = ctx.overwritten = False
        ctx.fused = _fuses(ctx, call, problem)
        if ctx.fused:
            rows, total, buffer = _one_pass(call, tensors, problem, weight, below, keeps_rows=ctx.needs_input_grad[4])
            ctx.overwritten = call.options.inplace
        else:
            numbers = call.backend.row_stats(problem, tilt=call.readouts)
            rows = stats.row_loss(numbers, problem.z_loss, weighted=problem.weighted)
        ctx.crossent_call = call
        ctx.set_materialize_grads(False)
        _save(ctx, tensors, rows if ctx.needs_input_grad[4] else None, below, numbers, buffer)
        # `.data`: a view that is made in here could not be modified in place, as `loss[mask] = 0` does
        loss = _reduce(call, rows, total, weight, below).to(call.result_dtype).data
        if not call.readouts:
            return loss
        fields = tuple(field.data for field in readouts.fields(call.backend, call.layout, problem, numbers))
        ctx.mark_non_differentiable(*readouts.constant(fields, ctx.needs_input_grad))
        return loss, *fields

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor | None) -> Any:
        call: LossCall = ctx.crossent_call
        upstream = tuple(None if gradient is None else gradient.resolve_neg() for gradient in upstream)
        tensors, rows, below, numbers, buffer = _restore(ctx)
        if all(gradient is None for gradient in upstream):
            return None, *NOTHING
        context = internals.backward_context(upstream)
        if ctx.overwritten and (ctx.handed_out or context is not None):
            raise errors.refuse("XEN044", came=context or "a second backward")
        if context is not None or ctx.needs_input_grad[3]:
            return None, *_composite_gradients(ctx, call, tensors, upstream)
        buffer = tensors.input if ctx.overwritten else buffer
        if ctx.fused and rows is None and not ctx.handed_out:  # the usual case: nothing is left to do
            return None, _hand_out(ctx, buffer, upstream[0]), *NOTHING[1:]
        problem = call.problem(tensors)
        weight = _row_weight(call, tensors, problem)
        d_input = d_target = d_weight = d_scale = None
        if ctx.fused:
            if ctx.handed_out:  # made again by the same kernel, so a second backward gives the same bits
                *_, buffer = _one_pass(call, tensors, problem, weight, below, keeps_rows=False)
            d_input = _hand_out(ctx, buffer, upstream[0])
        elif any(ctx.needs_input_grad[index] for index in (1, 2, 6)):
            assert numbers is not None
            d_input, d_target, d_scale = _gradients(ctx, call, tensors, problem, numbers, weight, below, upstream)
        if rows is not None and upstream[0] is not None:
            d_weight = _sample_weight_gradient(call, tensors, problem, rows, weight, below, upstream[0])
        return None, d_input, d_target, None, d_weight, None, d_scale


# ---- forward -----------------------------------------------------------------------------------


def _row_weight(call: LossCall, tensors: LossTensors, problem: RowProblem) -> Tensor | None:
    """sample_weight as (outer, inner), 0 where a row is not read; or None."""
    if tensors.sample_weight is None:
        return None
    weight = call.layout.per_row(tensors.sample_weight.detach(), problem.row_shape).to(problem.compute_dtype)
    return torch.where(problem.target == problem.skip, 0.0, weight) if problem.is_index else weight.contiguous()


def _denominator(call: LossCall, tensors: LossTensors, problem: RowProblem, weight: Tensor | None) -> Tensor | None:
    """What a mean divides by, as a 0-d tensor on the logits' device; None for none and sum."""
    if call.options.reduction != "mean":
        return None
    below = tensors.denominator
    if below is not None:
        below = number_on(below, problem.compute_dtype, problem.logits.device)
        if call.options.if_all_ignored == "nan":
            return below
    count = call.backend.count_rows(problem, weight)
    if below is None:  # a mean over no weight is NaN, also where smoothing or z-loss leave a total
        plain = problem.class_weight is None and weight is None
        below = count.share if plain else count.share / (count.share != 0)
    return (
        torch.where(count.rows == 0, torch.ones_like(below), below) if call.options.if_all_ignored == "zero" else below
    )


def _fuses(ctx: Any, call: LossCall, problem: RowProblem) -> bool:
    """Whether the gradient is made in the forward pass. Only where the logits' gradient alone needs the
    logits again; and not for float16, where a gradient that is not yet multiplied by the gradient
    scaler's factor would underflow."""
    _, wants_input, wants_target, wants_class_weight, _, _, wants_scale = ctx.needs_input_grad
    return (
        call.records
        and wants_input
        and not (wants_target or wants_class_weight or wants_scale or call.readouts or problem.normalised)
        and call.options.reduction != "none"
        and problem.logits.dtype != torch.float16
        and call.backend.gradient_in_forward
    )


def _one_pass(
    call: LossCall,
    tensors: LossTensors,
    problem: RowProblem,
    weight: Tensor | None,
    below: Tensor | None,
    *,
    keeps_rows: bool,
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Row losses, or their weighted sum where the engine adds them up and nobody needs them; the gradient."""
    factor = torch.ones((), dtype=problem.compute_dtype, device=problem.logits.device)
    if below is not None:
        factor = factor / below

    added_up = None if keeps_rows else getattr(call.backend, "total_and_grad", None)

    def fill(out: Tensor) -> tuple[Tensor | None, Tensor | None]:
        if added_up is not None:
            return None, added_up(problem, factor, weight, out)
        return call.backend.row_loss_and_grad(problem, factor, weight, out), None

    if not call.options.inplace:
        answer, buffer = _filled(call, tensors.input, problem, fill)
        return *answer, buffer
    answer = fill(problem.logits)
    if call.layout.row_view(tensors.input, row_shape=problem.row_shape) is None:  # the rows were a copy
        tensors.input.copy_(call.layout.from_row_view(problem.logits, tensors.input.dtype))
    call.layout.zero_unread(tensors.input)
    torch.autograd.graph.increment_version(tensors.input)
    return *answer, None


def _filled(call: LossCall, input: Tensor, problem: RowProblem, fill: Callable[[Tensor], Any]) -> tuple[Any, Tensor]:
    """What ``fill`` returned, and a tensor like ``input`` whose rows it has filled."""
    full = call.backend.empty(tuple(input.shape), input.dtype, input.device)
    out = call.layout.row_view(full, row_shape=problem.row_shape)
    if out is None:  # e.g. a shifted (N, C, d1, d2): no view has these rows
        out = call.backend.empty(tuple(problem.logits.shape), input.dtype, input.device)
        answer = fill(out)
        return answer, call.layout.from_row_view(out, input.dtype)
    call.layout.zero_unread(full)
    return fill(out), full


def _reduce(
    call: LossCall, rows: Tensor | None, total: Tensor | None, weight: Tensor | None, below: Tensor | None
) -> Tensor:
    if total is None:
        assert rows is not None
        weighted = rows if weight is None else rows * weight
        if call.options.reduction == "none":
            return call.layout.from_rows(weighted)
        total = weighted.sum()
    return total if below is None else total / below


def _save(
    ctx: Any,
    tensors: LossTensors,
    rows: Tensor | None,
    below: Tensor | None,
    numbers: RowStats | None,
    buffer: Tensor | None,
) -> None:
    ctx.numbers = tuple(None if isinstance(value, Tensor) else value for value in tensors)
    kept = (value if isinstance(value, Tensor) else None for value in tensors)
    ctx.save_for_backward(*kept, rows, below, buffer, *(numbers or (None,) * len(RowStats._fields)))


def _restore(
    ctx: Any,
) -> tuple[LossTensors, Tensor | None, Tensor | None, RowStats | None, Tensor | None]:
    saved = ctx.saved_tensors
    count = len(LossTensors._fields)
    tensors = LossTensors(*(number if kept is None else kept for kept, number in zip(saved, ctx.numbers, strict=False)))
    rows, below, buffer, *numbers = saved[count:]
    return tensors, rows, below, None if numbers[0] is None else RowStats(*numbers), buffer


# ---- backward ----------------------------------------------------------------------------------


def _hand_out(ctx: Any, buffer: Tensor | None, upstream: Tensor | None) -> Tensor:
    """The gradient made in the forward pass, times the upstream gradient."""
    assert buffer is not None and upstream is not None
    ctx.handed_out = True
    # `.data` has a version counter of its own: whatever the receiver does to the buffer, the saved tensors
    # of this node stay readable for a second backward (which does not read the buffer).
    buffer = buffer.data
    multiply = getattr(ctx.crossent_call.backend, "multiply", None)
    if multiply is not None and not on_host(buffer):  # decides on the device: nothing is read or written for a 1
        multiply(buffer, upstream)
        return buffer
    factor = upstream.item() if on_host(buffer) else None
    if factor == 1.0:
        return buffer
    stays_zero = None if factor is None or math.isfinite(factor) else buffer == 0  # rows that are not read
    buffer.mul_(upstream.to(torch.promote_types(upstream.dtype, torch.float32)))
    return buffer if stays_zero is None else buffer.masked_fill_(stays_zero, 0.0)


def _upstream_of_rows(
    call: LossCall, problem: RowProblem, upstream: Tensor, weight: Tensor | None, below: Tensor | None
) -> Tensor:
    """d loss / d row_i times the upstream gradient."""
    upstream = upstream.to(problem.compute_dtype)
    if call.options.reduction == "none":
        rows = call.layout.per_row(upstream, problem.row_shape)
    else:
        rows = (upstream if below is None else upstream / below).expand(problem.row_shape)
    return rows.contiguous() if weight is None else rows * weight


def _gradients(
    ctx: Any,
    call: LossCall,
    tensors: LossTensors,
    problem: RowProblem,
    numbers: RowStats,
    weight: Tensor | None,
    below: Tensor | None,
    upstream: tuple[Tensor | None, ...],
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """d/d input, d/d target (probabilities), d/d logit_scale from the statistics."""
    want = RowGradWant(scale=ctx.needs_input_grad[6], target=ctx.needs_input_grad[2])
    parts: list[tuple[RowProblem, GradCoefficients]] = []
    if upstream[0] is not None:
        rows = _upstream_of_rows(call, problem, upstream[0], weight, below)
        parts.append((problem, stats.loss_coefficients(numbers, problem.z_loss, rows)))
    if call.readouts:
        parts += readouts.coefficients(call.layout, problem, numbers, upstream[1:])
    total: list[Tensor | None] = [None, None, None]
    for part, coefficients in readouts.joined(parts):

        def fill(out: Tensor, part: RowProblem = part, coefficients: GradCoefficients = coefficients) -> Any:
            return call.backend.row_grad(part, numbers, coefficients, out, want=want)

        grads, d_input = _filled(call, tensors.input, problem, fill)
        d_target = d_scale = None
        if want.target:
            d_target = call.layout.from_row_view(grads.target, tensors.target.dtype, offset=call.layout.unread)
        if want.scale:
            d_scale = _scale_gradient(call.layout, tensors.logit_scale, grads.scale)
        for index, term in enumerate((d_input, d_target, d_scale)):
            known = total[index]
            total[index] = term if known is None or term is None else known + term
    return total[0], total[1], total[2]


def _scale_gradient(layout: Layout, scale: Any, rows: Tensor) -> Tensor:
    return (layout.from_rows(rows) if scale.dim() else rows.sum()).to(scale.dtype)


def _sample_weight_gradient(
    call: LossCall,
    tensors: LossTensors,
    problem: RowProblem,
    rows: Tensor,
    weight: Tensor | None,
    below: Tensor | None,
    upstream: Tensor,
) -> Tensor:
    """g * (row_i - mean * share_i) / denominator; share_i only where the denominator is the sum of weights."""
    assert tensors.sample_weight is not None and weight is not None
    if below is not None and tensors.denominator is None:
        mean = (rows * weight).sum() / below
        rows = rows - mean * share_of_rows(problem)
    d_weight = _upstream_of_rows(call, problem, upstream, None, below) * rows
    if problem.is_index:
        d_weight = torch.where(problem.target == problem.skip, 0.0, d_weight)
    return call.layout.from_rows(d_weight).to(tensors.sample_weight.dtype)


def _composite_gradients(
    ctx: Any, call: LossCall, tensors: LossTensors, upstream: tuple[Tensor | None, ...]
) -> tuple[Tensor | None, ...]:
    """The gradients as differentiable functions of the inputs and of the upstream gradients."""
    create_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        answers = composite.evaluate(
            call.function, tensors, call.options, call.layout, call.result_dtype, call.readouts
        )
        wanted = [index for index, needed in enumerate(ctx.needs_input_grad[1:]) if needed]
        pairs = [(a, g) for a, g in zip(answers, upstream, strict=True) if g is not None and a.requires_grad]
        gradients: tuple[Tensor | None, ...] = torch.autograd.grad(
            [answer for answer, _ in pairs],
            [cast(Tensor, tensors[index]) for index in wanted],
            [g for _, g in pairs],
            create_graph=create_graph,
            allow_unused=True,
        )
    by_index = dict(zip(wanted, gradients, strict=True))
    d_input = by_index.get(0)
    if create_graph and d_input is not None and not d_input.requires_grad:
        # That of nll_loss does not depend on its input. As torch's, it can be differentiated all the same: to zeros.
        by_index[0] = d_input + tensors.input.masked_fill(torch.ones_like(tensors.input, dtype=torch.bool), 0.0)
    return tuple(by_index.get(index) for index in range(len(tensors)))
