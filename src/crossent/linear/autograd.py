"""The autograd function of a linear head: save, restore, call.

``keep``: the gradients are made in the forward pass, where the logits are, for an upstream gradient of 1
on the loss. The first backward multiplies them by what came and hands them out. Everything else is made
again from the hidden states and the weight: a second backward, a gradient that came to another output,
per-position upstream gradients. With ``create_graph`` or under ``vmap`` the gradient is that of the composite, in
checkpointed chunks.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import torch
from torch import Tensor

from crossent import internals, readouts, stats
from crossent.backends.protocol import Backend, on_host
from crossent.linear import composite, roofline, slabs, walks
from crossent.linear.evaluation import Call, LinearCall, prepare
from crossent.linear.gemm import Gradients, Wants
from crossent.linear.head import LinearTensors
from crossent.linear.plan import Sizes, Steps, steps
from crossent.linear.roofline import Work
from crossent.linear.slabs import Walk
from crossent.linear.top import top_classes
from crossent.linear.walks import Chunk, Passes
from crossent.problem import Layout, share_of_rows
from crossent.stats import RowStats

COUNT = len(LinearTensors._fields)
NOTHING = (None,) * COUNT


class LinearLoss(torch.autograd.Function):
    """``apply(call, *LinearTensors)`` -> loss, or (loss, *readouts.FIELDS[, top log-probabilities, top classes])."""

    @staticmethod
    def forward(ctx: Any, call: LinearCall, *arguments: Any) -> Any:
        with _without_autocast(arguments[0]):
            known = prepare(call, LinearTensors(*arguments))
            wants = _wants(ctx)
            plan = _steps(known, wants, records=call.records)
            fields: list[tuple[Tensor, ...]] = []
            rows, numbers, kept = _forward(known, wants, plan, fields)
            loss = _reduce(known, rows).data  # a view that is made in here could not be modified in place
        ctx.crossent_call, ctx.steps, ctx.handed_out = call, plan, False
        ctx.set_materialize_grads(False)
        _save(ctx, known, rows if ctx.needs_input_grad[6] else None, numbers, kept)
        if not call.readouts:
            return loss
        answers = tuple(field.data for field in _fields(known, fields))
        ctx.mark_non_differentiable(*_constant(ctx, answers))
        return loss, *answers

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor | None) -> Any:
        call: LinearCall = ctx.crossent_call
        upstream = tuple(None if gradient is None else gradient.resolve_neg() for gradient in upstream)
        tensors, rows, below, numbers, kept = _restore(ctx)
        if all(gradient is None for gradient in upstream):
            return None, *NOTHING
        if internals.backward_context(upstream) is not None or ctx.needs_input_grad[5]:
            return None, *_composite_gradients(ctx, call, tensors, upstream)
        with _without_autocast(tensors.input):
            if kept is not None and not ctx.handed_out and _only_loss(upstream):
                ctx.handed_out = True
                total = _scaled(kept, upstream[0], call.backend)
            else:
                total = None
            known = prepare(call, tensors, below)
            if total is None:
                total = _again(ctx, known, numbers, upstream)
            answers = _returned(known, total)
            d_weight = None
            if rows is not None and upstream[0] is not None:
                d_weight = _sample_weight_gradient(known, rows, upstream[0])
        return None, *answers[:4], None, d_weight, None, answers[4]


def _constant(ctx: Any, fields: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Those read-outs that depend on nothing that needs a gradient."""
    wants = _wants(ctx)
    logits = wants.hidden or wants.projection or wants.bias
    return readouts.constant(fields, (False, logits, wants.target, False, False, False, wants.scale))


# ---- both ways ---------------------------------------------------------------------------------


def _wants(ctx: Any) -> Wants:
    needs = ctx.needs_input_grad[1:]
    return Wants(hidden=needs[0], projection=needs[1], bias=needs[3], target=needs[2], scale=needs[7])


def _steps(known: Call, wants: Wants, *, records: bool) -> Steps:
    head, call = known.head, known.call
    any_wanted = any(wants)
    # float16: a gradient that is not yet multiplied by the gradient scaler's factor would underflow.
    may_keep = records and any_wanted and call.options.reduction != "none" and head.dtype != torch.float16
    sizes = Sizes(
        rows=head.rows,
        inner=head.inner,
        classes=head.problem.classes,
        features=head.hidden.shape[1],
        dtype=head.dtype,
        weight_dtype=known.tensors.linear_weight.dtype,
        copies=int(head.gathers()) + int(head.gathers() and wants.hidden),
        scratch=getattr(call.backend, "scratch_bytes_per_logit", 0),
        wants_weight=wants.projection and records,
        may_keep=may_keep,
        filters=call.filter_eps > 0,
        may_tile=not call.readouts,
        on_host=on_host(head.projection),
        index=head.problem.is_index,
        spelled_out=head.problem.is_index and head.problem.off != 0.0,
    )
    plan = call.plan
    if not sizes.on_host and call.budget is None:  # a budget is spent as on the CPU
        work = Work(head.rows, sizes.outputs, sizes.features, head.dtype, plan.accumulate or torch.float32)
        plan = roofline.completed(plan, work, head.projection.device)
    return steps(plan, call.budget, sizes)


def _without_autocast(tensor: Tensor) -> AbstractContextManager[Any]:
    return torch.autocast(tensor.device.type, enabled=False)


# ---- forward -----------------------------------------------------------------------------------


def _forward(
    known: Call, wants: Wants, plan: Steps, fields: list[tuple[Tensor, ...]]
) -> tuple[Tensor, RowStats | None, Gradients | None]:
    """(n, D) unweighted row losses, their statistics if the backward can use them, gradients if kept."""
    call, head = known.call, known.head
    if plan.classes < head.problem.classes:
        return _forward_by_slabs(known, wants, plan)
    if plan.keeps and not (call.readouts or wants.target or wants.scale or plan.apart):
        one = known.promised(torch.ones((), dtype=head.problem.compute_dtype, device=head.hidden.device))
        factor = one if known.below is None else one / known.below
        rows, kept = walks.one_pass(
            head, call.backend, plan.rows, factor, known.weight, wants, plan.accumulate, call.filter_eps
        )
        return rows, None, kept
    parts: list[RowStats] = []

    def look(chunk: Chunk, numbers: RowStats) -> None:
        parts.append(numbers)
        if call.readouts:
            own = readouts.fields(call.backend, chunk_layout(chunk), chunk.problem, numbers)
            fields.append((*own, *top_classes(chunk.problem, numbers, call.top_k)))

    kept = None
    if plan.keeps:
        passes = _loss_pass(known, _upstream_of_one(known))
        kept = walks.gradients(
            head, call.backend, plan.rows, passes, wants, plan.accumulate, tilt=call.readouts, look=look,
            apart=plan.apart, filter_eps=call.filter_eps,
        )  # fmt: skip
        numbers = walks.joined(head, parts, tilt=call.readouts)
    elif plan.tile is not None:
        numbers = slabs.statistics(Walk.of(head, call.backend, plan, plan.tile))
    else:
        numbers = walks.statistics(head, call.backend, plan.rows, tilt=call.readouts, look=look)
    return walks.row_losses(head, numbers), numbers, kept


def _forward_by_slabs(known: Call, wants: Wants, plan: Steps) -> tuple[Tensor, RowStats | None, Gradients | None]:
    head, backend, kept = known.head, known.call.backend, None
    upstream = _upstream_of_one(known) if plan.keeps else None
    if plan.whole_rows and upstream is not None:
        numbers, kept = slabs.with_whole_rows(head, backend, plan, _loss_pass(known, upstream), wants)
        total = _by_slabs(known, plan, numbers, upstream, Wants(projection=wants.projection))
        kept = kept._replace(projection=total.projection)
    elif plan.whole_rows and plan.tile is None:
        numbers = walks.statistics(head, backend, plan.whole_rows, tilt=False, look=lambda chunk, own: None)
    else:
        numbers = slabs.statistics(Walk.of(head, backend, plan, plan.tile))
        if upstream is not None:
            kept = _by_slabs(known, plan, numbers, upstream, wants)
    return walks.row_losses(head, numbers), numbers, kept


def _by_slabs(known: Call, plan: Steps, numbers: RowStats, upstream: Tensor, wants: Wants) -> Gradients:
    """The gradients of the loss from its statistics, tile by tile."""
    coefficients = stats.loss_coefficients(numbers, known.head.problem.z_loss, upstream)
    return slabs.gradients(Walk.of(known.head, known.call.backend, plan), numbers, coefficients, wants)


def chunk_layout(chunk: Chunk) -> Layout:
    """(rows, V, D) as a layout of its own."""
    return Layout(tuple(chunk.problem.logits.shape), 1, 0)


def _upstream_of_one(known: Call) -> Tensor:
    """(n, D): the upstream gradients of the rows if that of the loss is 1."""
    one = torch.ones((), dtype=known.head.problem.compute_dtype, device=known.head.hidden.device)
    return known.upstream(one, known.weight)


def _loss_pass(known: Call, upstream: Tensor) -> Callable[[Chunk, RowStats], Passes]:
    z_loss = known.head.problem.z_loss

    def passes(chunk: Chunk, numbers: RowStats) -> Passes:
        return [(chunk.problem, stats.loss_coefficients(numbers, z_loss, upstream[chunk.start : chunk.stop]))]

    return passes


def _reduce(known: Call, rows: Tensor) -> Tensor:
    call = known.call
    weighted = rows if known.weight is None else rows * known.weight
    if call.options.reduction == "none":
        loss = known.head.spread(call.layout, weighted)
    else:
        total = weighted.sum()
        loss = total if known.below is None else total / known.below
    return known.promised(loss).to(call.result_dtype)


def _fields(known: Call, parts: list[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    """readouts.FIELDS of all rows in the index target's shape."""
    head, layout = known.head, known.call.layout
    compute, top = head.problem.compute_dtype, (known.call.top_k,)
    shapes = (*((),) * 7, top, top) if top[0] else ((),) * 7
    fills = (0, 0, 0, 0, -1, False, -1, 0, -1)[: len(shapes)]
    if not parts:
        dtypes = (*(compute,) * 4, torch.int64, torch.bool, torch.int64, compute, torch.int64)
        empty = torch.zeros((0, head.inner), device=head.hidden.device)
        parts = [
            tuple(
                empty.new_zeros((*empty.shape, *shape), dtype=dtype)
                for shape, dtype in zip(shapes, dtypes, strict=False)
            )
        ]
    columns = (torch.cat(column) for column in zip(*parts, strict=True))
    columns = (known.promised(column) if column.is_floating_point() else column for column in columns)
    return tuple(head.spread(layout, column, fill) for column, fill in zip(columns, fills, strict=True))


def _save(ctx: Any, known: Call, rows: Tensor | None, numbers: RowStats | None, kept: Gradients | None) -> None:
    tensors = known.tensors
    ctx.numbers = tuple(None if isinstance(value, Tensor) else value for value in tensors)
    ctx.save_for_backward(
        *(value if isinstance(value, Tensor) else None for value in tensors),
        rows,
        known.below,
        *(numbers or (None,) * len(RowStats._fields)),
        *(kept or (None,) * len(Gradients._fields)),
    )
    ctx.keeps = kept is not None


def _restore(ctx: Any) -> tuple[LinearTensors, Tensor | None, Tensor | None, RowStats | None, Gradients | None]:
    saved = ctx.saved_tensors
    given = (number if kept is None else kept for kept, number in zip(saved, ctx.numbers, strict=False))
    rows, below, *rest = saved[COUNT:]
    middle = len(RowStats._fields)
    numbers = None if rest[0] is None else RowStats(*rest[:middle])
    return LinearTensors(*given), rows, below, numbers, Gradients(*rest[middle:]) if ctx.keeps else None


# ---- backward ----------------------------------------------------------------------------------


def _only_loss(upstream: tuple[Tensor | None, ...]) -> bool:
    return upstream[0] is not None and all(gradient is None for gradient in upstream[1:])


def _scaled(kept: Gradients, upstream: Tensor | None, backend: Backend) -> Gradients:
    """The gradients made in the forward pass, times the upstream gradient."""
    assert upstream is not None
    # `.data` has a version counter of its own: whatever the receiver does to it, the saved tensors of this
    # node stay readable for a second backward (which does not read these).
    mine = Gradients(*(None if gradient is None else gradient.data for gradient in kept))
    multiply = getattr(backend, "multiply", None)
    if multiply is not None and not on_host(upstream):
        for gradient in mine:
            if gradient is not None:
                multiply(gradient, upstream)
    elif not on_host(upstream) or upstream.item() != 1.0:
        wide = upstream.to(torch.promote_types(upstream.dtype, torch.float32))
        for gradient in mine:
            if gradient is not None:
                gradient.mul_(wide)
    return mine


def _again(ctx: Any, known: Call, numbers: RowStats | None, upstream: tuple[Tensor | None, ...]) -> Gradients:
    """All gradients from the hidden states and the weight: the logits are made again."""
    call, head, plan, wants = known.call, known.head, ctx.steps, _wants(ctx)
    rows = None if upstream[0] is None else known.upstream(upstream[0], known.weight)
    if plan.classes < head.problem.classes and numbers is not None and rows is not None:
        return _by_slabs(known, plan, numbers, rows, wants)
    if rows is not None and _only_loss(upstream) and not (wants.target or wants.scale or plan.apart):
        if not any(wants):
            return Gradients()
        one = torch.ones((), dtype=head.problem.compute_dtype, device=head.hidden.device)
        return walks.one_pass(head, call.backend, plan.rows, one, rows, wants, plan.accumulate, call.filter_eps)[1]
    fields = [None if g is None else head.pick(call.layout, g) for g in upstream[1:5]]

    def passes(chunk: Chunk, own: RowStats) -> Passes:
        wanted: Passes = []
        part = slice(chunk.start, chunk.stop)
        if rows is not None:
            wanted.append((chunk.problem, stats.loss_coefficients(own, head.problem.z_loss, rows[part])))
        if call.readouts:
            mine = tuple(None if g is None else g[part] for g in fields)
            wanted += readouts.coefficients(chunk_layout(chunk), chunk.problem, own, mine)
        return readouts.joined(wanted)

    return walks.gradients(
        head, call.backend, plan.rows, passes, wants, plan.accumulate, numbers=numbers, tilt=call.readouts,
        apart=plan.apart, filter_eps=call.filter_eps,
    )  # fmt: skip


def _returned(known: Call, total: Gradients) -> tuple[Tensor | None, ...]:
    """d input, d linear_weight, d target, d linear_bias, d logit_scale in the caller's shapes and dtypes."""
    tensors, head, layout = known.tensors, known.head, known.call.layout
    d_hidden, d_projection, d_bias, d_target, d_scale = total
    if d_hidden is not None:
        d_hidden = d_hidden.view(tensors.input.shape)
    if d_projection is not None:
        d_projection = _rounded(known, d_projection).view(tensors.linear_weight.shape)
    if d_bias is not None and tensors.linear_bias is not None:
        d_bias = d_bias.view(tensors.linear_bias.shape).to(tensors.linear_bias.dtype)
    if d_target is not None:
        d_target = layout.from_row_view(d_target, tensors.target.dtype, offset=layout.unread)
    if d_scale is not None and isinstance(tensors.logit_scale, Tensor):
        d_scale = head.spread(layout, d_scale) if tensors.logit_scale.dim() else d_scale.sum()
        d_scale = d_scale.to(tensors.logit_scale.dtype)
    return d_hidden, d_projection, d_target, d_bias, d_scale


def _rounded(known: Call, total: Tensor) -> Tensor:
    """The sum of a weight's gradient in the weight's dtype."""
    dtype = known.tensors.linear_weight.dtype
    if total.dtype == dtype:
        return total
    return known.call.backend.empty(tuple(total.shape), dtype, total.device).copy_(total)


def _sample_weight_gradient(known: Call, rows: Tensor, upstream: Tensor) -> Tensor:
    """g * (row_i - mean * share_i) / denominator; share_i only where the denominator is the sum of weights."""
    tensors, problem = known.tensors, known.head.problem
    assert tensors.sample_weight is not None and known.weight is not None
    if known.below is not None and tensors.denominator is None:
        mean = (rows * known.weight).sum() / known.below
        rows = rows - mean * share_of_rows(problem)
    d_weight = known.upstream(upstream, None) * rows
    if problem.is_index:
        d_weight = torch.where(problem.target == problem.skip, 0.0, d_weight)
    return known.head.spread(known.call.layout, d_weight).to(tensors.sample_weight.dtype)


def _composite_gradients(
    ctx: Any, call: LinearCall, tensors: LinearTensors, upstream: tuple[Tensor | None, ...]
) -> tuple[Tensor | None, ...]:
    """The gradients as differentiable functions of the inputs and of the upstream gradients."""
    create_graph = torch.is_grad_enabled()
    with torch.enable_grad(), _autocast_again(call, tensors):
        answers = composite.evaluate(
            tensors, call.options, call.layout, call.result_dtype, readouts=call.readouts, rows=ctx.steps.rows
        )
        wanted = [index for index, needed in enumerate(ctx.needs_input_grad[1:]) if needed]
        leaves = [cast(Tensor, tensors[index]) for index in wanted]
        pairs = [(a, g) for a, g in zip(answers, upstream, strict=False) if g is not None and a.requires_grad]
        gradients = torch.autograd.grad(
            [answer for answer, _ in pairs],
            leaves,
            [g for _, g in pairs],
            create_graph=create_graph,
            allow_unused=True,
        )
    by_index = dict(zip(wanted, gradients, strict=True))
    return tuple(by_index.get(index) for index in range(len(tensors)))


def _autocast_again(call: LinearCall, tensors: LinearTensors) -> AbstractContextManager[Any]:
    """The autocast region of the forward pass, where there was one: products in another dtype than their tensors."""
    if {tensors.input.dtype, tensors.linear_weight.dtype} == {call.dtype}:
        return nullcontext()
    return torch.autocast(tensors.input.device.type, dtype=call.dtype)
